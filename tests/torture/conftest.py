from torture import scale


def pytest_terminal_summary(terminalreporter):
    if scale.FULL and scale.figures():
        terminalreporter.section("figures")
        for what, value in scale.figures().items():
            terminalreporter.line(f"{what}: {value}")
