"""Metadata that the wheel and the sdist have and pyproject.toml does not spell out: the addresses,
and the long description. Its links lead to the repository, which the page of an index is not in;
where no repository is named, they are plain text, and there are no addresses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

#: A link or a picture in Markdown that leads to a file of the repository.
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?://|#)([^)]*)\)")


class Metadata(MetadataHookInterface):
    """hatchling looks for the class, whatever it is called."""

    def update(self, metadata: dict[str, Any]) -> None:
        """See hatchling."""
        home = self.config["home"]
        at = f"v{metadata['version']}"
        if home:
            metadata["urls"] = {
                "Source": home,
                "Changelog": f"{home}/blob/{at}/CHANGELOG.md",
                "Documentation": f"{home}/tree/{at}/docs",
                "Issues": f"{home}/issues",
            }

        def absolute(match: re.Match[str]) -> str:
            if not home:
                return match[2]
            kind = "raw" if match[1] else "blob"
            return f"{match[1]}[{match[2]}]({home}/{kind}/{at}/{match[3]})"

        readme = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": _LINK.sub(absolute, readme),
        }
