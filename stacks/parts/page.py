"""The demo page: its files, and what a browser may do with them; the same behind CloudFront and on one machine."""

import shutil
from pathlib import Path

from stacks.assets import ROOT, AssetError

VENDOR = ROOT / "node_modules" / "uplot" / "dist"
_VENDORED = ("uPlot.esm.js", "uPlot.min.css")


def files() -> dict[str, Path]:
    """Each path of the site, as in clients/realtime.js, and its file."""
    found = {file.name: file for file in sorted((ROOT / "web").iterdir()) if file.is_file()}
    found |= {f"clients/{file.name}": file for file in sorted((ROOT / "clients").glob("*.js"))}
    return found | {f"vendor/{name}": VENDOR / name for name in _VENDORED}


def put_into(folder: Path) -> None:
    """Copy them; `AssetError` where npm has not installed what is vendored."""
    for path, file in files().items():
        (folder / path).parent.mkdir(exist_ok=True)
        try:
            shutil.copyfile(file, folder / path)
        except FileNotFoundError:
            raise AssetError(f"{file.relative_to(ROOT)} is not there: run npm ci") from None


def content_policy(*connect: str) -> str:
    """Content-Security-Policy: own scripts and styles only, whatever text an event smuggles in. `connect`: where else it may connect."""
    own = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'"
    allowed = ["'self'", *connect]
    return f"{own}; frame-ancestors 'none'; connect-src {' '.join(allowed)}"
