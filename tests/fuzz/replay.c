/* Feed a target the files named as arguments: libFuzzer's main for those who have none. */
#include "fuzz.h"

int
main(int count, char **names)
{
    for (int i = 1; i < count; i++) {
        FILE *file = fopen(names[i], "rb");
        if (file == NULL) {
            perror(names[i]);
            return 2;
        }
        uint8_t *data = malloc(1 << 20);
        size_t size = data != NULL ? fread(data, 1, 1 << 20, file) : 0;
        fclose(file);
        uint8_t *exact = malloc(size > 0 ? size : 1); /* so that a byte too far is found */
        if (data == NULL || exact == NULL) {
            return 2;
        }
        for (size_t at = 0; at < size; at++) {
            exact[at] = data[at];
        }
        free(data);
        LLVMFuzzerTestOneInput(exact, size);
        free(exact);
    }
    printf("%d inputs\n", count - 1);
    return 0;
}
