"""Names of memdata in a page's code spans (`memdata.MemGroup`) lead to the reference.

So pages stay plain Markdown, which is read well elsewhere too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.transforms import SphinxTransform

if TYPE_CHECKING:
    from sphinx.application import Sphinx

NAME = re.compile(r"(memdata(?:\.\w+)+)(?:\(.*\))?")


class CodeLinks(SphinxTransform):
    """Put a reference around each such span; one that leads nowhere stays code."""

    default_priority = 200

    def apply(self, **_: Any) -> None:
        """Do so in a page that was read."""
        for span in list(self.document.findall(nodes.literal)):
            name = NAME.fullmatch(span.astext())
            if not name or isinstance(span.parent, pending_xref | nodes.reference):
                continue
            link = pending_xref(
                "", refdomain="py", reftype="obj", reftarget=name[1], refexplicit=True,
                refwarn=False, refdoc=self.env.current_document.docname,
            )  # fmt: skip
            span.replace_self(link)
            link += span


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx."""
    app.add_transform(CodeLinks)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
