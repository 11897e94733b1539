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
READY = os.path.join(VENV, ".ready")


def main():
    if sys.version_info < (3, 11):
        fail("Python 3.11 or newer is needed, this is {}.{}: install it, or name one with make PYTHON=python3.12".format(*sys.version_info))
    if "--nginx" in sys.argv:
        debian("nginx", "nginx-light")
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


def debian(command, package):
    """Install a Debian package that a test needs, where we may; else say how."""
    if shutil.which(command, path=os.environ.get("PATH", "") + ":/usr/sbin"):
        return
    install = "apt-get install -y --no-install-recommends " + package
    if not (hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get")):
        missing = "{} is needed by one test and by make bench: run (sudo) {}, or brew install {}".format(command, install, command)
        if os.environ.get("CI"):
            fail(missing)
        print("note: " + missing, flush=True)
        return
    step(
        "installing " + command,
        ["sh", "-c", "apt-get update -qq >/dev/null && DEBIAN_FRONTEND=noninteractive {} >/dev/null".format(install)],
    )


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
