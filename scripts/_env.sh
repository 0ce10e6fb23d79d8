# Sourced by the other scripts: makes a virtual environment (.venv, or $venv) with what is asked
# for, once per change of pyproject.toml, and leaves its bin folder in $BIN. Needs only Python
# 3.11+ and pip.
set -eu
cd "$(dirname "$0")/.."

python=${PYTHON:-}
if [ -z "$python" ]; then
  for candidate in python3 python3.13 python3.12 python3.11 python; do
    if command -v "$candidate" >/dev/null 2>&1 &&
      "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      python=$candidate
      break
    fi
  done
fi
if [ -z "$python" ]; then
  echo "Error: Python 3.11 or newer is needed. Install it, or name it: PYTHON=/path/to/python $0" >&2
  exit 1
fi

venv=${venv:-.venv}
BIN=$venv/bin

# need_env NAME PIP_ARGUMENTS...: install unless that was done for this very pyproject.toml.
need_env() {
  stamp=$venv/.installed-$1
  shift
  if [ ! -x "$BIN/python" ]; then
    "$python" -m venv "$venv" || {
      echo "Error: '$python -m venv' failed. On Debian and Ubuntu: apt install python3-venv" >&2
      exit 1
    }
  fi
  if [ ! -e "$stamp" ] || [ pyproject.toml -nt "$stamp" ]; then
    echo "Installing into $venv (once) ..." >&2
    "$BIN/python" -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1' >&2
    "$BIN/python" -m pip install --quiet --disable-pip-version-check "$@" >&2
    touch "$stamp"
  fi
}
