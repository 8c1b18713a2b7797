"""The part of an install script that is the same in each: its directories, downloads by hash, phases.

`@NAME@` is filled in by `recipes.export.installscript`.
"""

PRELUDE = """\
#!/bin/sh
# Builds @COMPONENT@ of the variant `@VARIANT@` for @PLATFORM@, from locked sources:
#
#     ./install.sh PREFIX        the result; a directory that is not there yet
#
# Written by `recipes export install-script`: change the lock, not this file.
# It needs git, python3 with pip (which knows the package index), tar, and coreutils. The build sees the
# directories @PLACES@, as every build of this lock does: they are made in a mount namespace where the
# system allows one, and otherwise by root in / (as in `docker build`).
# WORK names the directory for what is downloaded (default: ./work). Git's own `url.*.insteadOf` and pip's own
# configuration name mirrors.
set -eu
umask 022
export LC_ALL=C

die() { echo "$0: $*" >&2; exit 1; }
say() { echo "== $*"; }

[ $# -eq 1 ] || die "usage: $0 PREFIX"
prefix=$1
case $prefix in /*) ;; *) prefix=$PWD/$prefix ;; esac
[ ! -e "$prefix" ] || die "$prefix is there already"
work=${WORK:-$PWD/work}
case $work in /*) ;; *) work=$PWD/$work ;; esac
for program in git python3 sha256sum find sort cp; do
    command -v "$program" >/dev/null || die "$program is missing"
done

# --- the directories that a build sees ------------------------------------------------------------------

places='@PLACES@'
mkdir -p "$work/root"

if [ -z "${INSIDE-}" ] && unshare --user --map-root-user --mount true 2>/dev/null; then
    for one in /* $places; do
        if [ -L "$one" ]; then
            [ -L "$work/root$one" ] || cp -P "$one" "$work/root$one"
        elif [ -d "$one" ] || [ ! -e "$one" ]; then
            mkdir -p "$work/root$one"
        fi
    done
    cp "$0" "$work/install.sh"
    cat >"$work/enter.sh" <<'EOF'
set -eu
for one in /*; do
    [ ! -L "$one" ] && [ -d "$one" ] || continue
    case " $places " in *" $one "*) ;; *) mount --rbind "$one" "$work/root$one" ;; esac
done
exec chroot "$work/root" /bin/sh "$work/install.sh" "$prefix"
EOF
    export places prefix work
    INSIDE=yes WORK=$work exec unshare --user --map-root-user --mount sh "$work/enter.sh"
fi
if [ -z "${INSIDE-}" ]; then
    [ "$(id -u)" -eq 0 ] || die "user namespaces are refused here: run it as root in a container"
    for one in $places; do
        [ ! -e "$one" ] || [ -e "$work/ours" ] || die "$one is in the way: run it in a container"
    done
    : >"$work/ours"
fi
for one in $places; do mkdir -p "$one"; done

# --- what is downloaded, each by its hash ---------------------------------------------------------------

digest() { # DIRECTORY: the SHA-256 of what is in it
    (
        cd "$1"
        {
            find . -type f -exec sha256sum {} +
            find . -type f -perm -u+x -exec printf 'x %s\\n' {} +
            find . -type l -exec sh -c 'for one; do echo "$one -> $(readlink "$one")"; done' sh {} +
        } | sort | sha256sum | cut -d ' ' -f 1
    )
}

expect() { # WHAT EXPECTED ACTUAL
    [ "$2" = "$3" ] || die "$1 does not have its hash
  expected  $2
  actual    $3"
}

from_git() { # NAME URL COMMIT
    say "fetching $1 from $2"
    rm -rf "$work/tree" "$work/git"
    git init -q "$work/git"
    git -C "$work/git" fetch -q --no-tags --depth 1 "$2" "$3"
    expect "the commit of $1" "$3" "$(git -C "$work/git" rev-parse FETCH_HEAD)"
    git -C "$work/git" read-tree FETCH_HEAD
    git -C "$work/git" -c core.autocrlf=false checkout-index -q -a --prefix="$work/tree/"
}

from_url() { # NAME URL SHA256: the archive, in $archive
    archive=$work/archives/$3
    [ -e "$archive" ] || {
        say "downloading $1"
        mkdir -p "$work/archives"
        python3 -c 'import sys, urllib.request as u; u.urlretrieve(*sys.argv[1:])' "$2" "$archive.part"
        expect "$1" "$3" "$(sha256sum "$archive.part" | cut -d ' ' -f 1)"
        mv "$archive.part" "$archive"
    }
}

from_index() { # PROJECT FILE SHA256: the same from the package index that pip is set up for
    from_url "$2" "$(python3 - "$1" "$2" <<'EOF'
import html.parser, os, subprocess, sys, urllib.parse, urllib.request
from pip._internal.models.index import PyPI

project, file = sys.argv[1:]
asked = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
told = subprocess.run(asked, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.strip()
index = os.environ.get("PIP_INDEX_URL") or told or PyPI.simple_url
page = f"{index.rstrip('/')}/{project}/"
links = []
parser = html.parser.HTMLParser()
parser.handle_starttag = lambda tag, given: links.extend(value for name, value in given if name == "href")
with urllib.request.urlopen(urllib.request.Request(page, headers={"Accept": "text/html"})) as answer:
    parser.feed(answer.read().decode())
    here = answer.url
found = [one for one in links if urllib.parse.unquote(urllib.parse.urlsplit(one).path).endswith("/" + file)]
if not found:
    sys.exit(f"{page} has no {file}")
print(urllib.parse.urldefrag(urllib.parse.urljoin(here, found[0]))[0])
EOF
    )" "$3"
}

unpack() { # ARCHIVE DIRECTORY: with the modes that it has
    rm -rf "$2"
    mkdir -p "$2"
    python3 - "$1" "$2" <<'EOF'
import os, sys, tarfile, zipfile

archive, target = sys.argv[1:]
if zipfile.is_zipfile(archive):
    with zipfile.ZipFile(archive) as file:
        for one in file.infolist():
            path = file.extract(one, target)
            if one.external_attr >> 16 & 0o100 and not one.is_dir():
                os.chmod(path, 0o755)
else:
    with tarfile.open(archive) as file:
        file.extractall(target, filter="data")
EOF
}

take() { # FROM TO DIGEST: what is listed on standard input, as MODE PATH; all of it without a list
    rm -rf "$2"
    mkdir -p "$2"
    if [ $# -eq 4 ]; then
        while read -r mode path; do
            case $path in */*) mkdir -p "$2/${path%/*}" ;; esac
            cp -P "$1/$path" "$2/$path"
            [ "$mode" = link ] || chmod "$mode" "$2/$path"
        done
    else
        cp -RP "$1/." "$2"
    fi
    expect "${2##*/}" "$3" "$(digest "$2")"
}

# --- building --------------------------------------------------------------------------------------------

fresh() { # DIRECTORY...: empty ones; they stay what they are, which may be mounted
    for one; do find "$one" -mindepth 1 -maxdepth 1 -exec rm -rf {} +; done
}

phase() { # TITLE EXPECTED COMMAND...: EXPECTED is a text that must be printed, if it is not empty
    say "$1"
    title=$1 said=$2
    shift 2
    (cd @BUILD@ && env -i "$@") >"$work/log" 2>&1 || {
        tail -n 40 "$work/log"
        die "$title failed: see $work/log"
    }
    [ -z "$said" ] || grep -qF -- "$said" "$work/log" || die "$title did not print: $said"
}

output() { # FROM TO
    case $2 in */*) mkdir -p "$result/${2%/*}" ;; esac
    cp -RP "$1" "$result/$2"
}

jobs=$(nproc)
results=$work/results
mkdir -p "$results" /python/bin
ln -sf "$(command -v python3)" @PYTHON@
"""
