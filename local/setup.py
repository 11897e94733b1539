"""Makes a machine ready: `.venv` from uv.lock, the CDK command line from package-lock.json. Run by make, with any Python 3.

Only the standard library, and no syntax newer than Python 3.6: an old Python must be able to say that it is too old.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
TESTS = [(["nginx"], "nginx-light"), (["valkey-server", "redis-server"], "redis-server"), (["chromium"], "chromium")]
BENCH = [(["/usr/lib/nginx/modules/ngx_nchan_module.so"], "libnginx-mod-nchan"), (["cc"], "gcc libc6-dev")]
"""What only tests, and only benches, need: each a command or a file that shows that it is there, and its Debian package."""

READY = os.path.join(VENV, ".ready")


def main():
    if sys.version_info < (3, 11):
        fail("Python 3.11 or newer is needed, this is {}.{}: install it, or name one with make PYTHON=python3.12".format(*sys.version_info))
    if "--tests" in sys.argv or "--bench" in sys.argv:
        debian(TESTS + (BENCH if "--bench" in sys.argv else []))
    wanted = fingerprint()
    if read(READY) == wanted and os.path.exists(PYTHON) and os.path.exists(os.path.join(ROOT, "node_modules", ".bin", "cdk")):
        return
    node = version("node")
    if node < 20 or not shutil.which("npm"):
        fail(
            "Node.js 20 or newer and npm are needed{}: install them from your system's packages".format(
                ", this is {}".format(node) if node else ""
            )
        )
    print("making this machine ready (first time, or a lock file changed)", flush=True)
    step("creating .venv", [sys.executable, "-m", "venv", "--clear", VENV], "python3-venv may be missing: apt-get install python3-venv")
    step("installing uv", [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv==" + locked("uv")])
    step("installing Python packages from uv.lock", [PYTHON, "-m", "uv", "sync", "--quiet", "--frozen"])
    step("installing the CDK command line from package-lock.json", ["npm", "ci", "--silent", "--no-audit", "--no-fund"])
    with open(READY, "w") as file:
        file.write(wanted)


def debian(tools):
    """Install the Debian packages of those tools that are missing, where we may; else say how."""
    missing = [package for places, package in tools if not any(found(place) for place in places)]
    if not missing:
        return
    install = "apt-get install -y --no-install-recommends " + " ".join(missing)
    if not (hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get")):
        told = "tests and benches need more than Python and Node: run (sudo) {}, or get the same from your system's packages".format(
            install
        )
        if os.environ.get("CI"):
            fail(told)
        print("note: " + told, flush=True)
        return
    step(
        "installing " + ", ".join(missing),
        ["sh", "-c", "apt-get update -qq >/dev/null && DEBIAN_FRONTEND=noninteractive {} >/dev/null".format(install)],
    )


def found(place):
    """A file, or a command on the PATH."""
    return os.path.exists(place) if "/" in place else shutil.which(place, path=os.environ.get("PATH", "") + ":/usr/sbin")


def step(what, command, hint=None):
    print("  ... " + what, flush=True)
    started = time.time()
    environment = dict(os.environ, UV_PROJECT_ENVIRONMENT=VENV, UV_COMPILE_BYTECODE="1", UV_SYSTEM_CERTS="1")
    environment.pop("VIRTUAL_ENV", None)
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    if done.returncode:
        fail("{} failed: {}{}".format(what, done.stdout.strip()[-2000:], "\n" + hint if hint else ""))
    print("      done in {:.1f} s".format(time.time() - started), flush=True)


def fingerprint():
    digest = hashlib.sha256(sys.version.encode())
    for name in ("uv.lock", "package-lock.json"):
        with open(os.path.join(ROOT, name), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def locked(package):
    """The version of a package in uv.lock."""
    return re.search(r'name = "{}"\nversion = "([^"]+)"'.format(package), read(os.path.join(ROOT, "uv.lock"))).group(1)


def version(command):
    """The major version that `command --version` prints; 0 where there is no such command."""
    try:
        out = subprocess.run([command, "--version"], stdout=subprocess.PIPE, universal_newlines=True).stdout
    except OSError:
        return 0
    found = re.search(r"(\d+)\.", out)
    return int(found.group(1)) if found else 0


def read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def fail(sentence):
    sys.exit("error: " + sentence)


if __name__ == "__main__":
    main()
