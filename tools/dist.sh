#!/bin/sh
# Makes a release of what is committed: tools/dist.sh <folder>     (make dist)
#
#   <folder>/evws-VERSION.tar.gz   what is in git; the same bytes each time
#   <folder>/evws-VERSION-1.rockspec   whose source is the tag vVERSION; while
#                                  VERSION ends in -dev, the branch main
#
# VERSION is the file of that name. A release has a tag and a section of the
# change log.
set -u
cd "$(dirname "$0")/.." || exit 1
die() { echo "dist: $*" >&2; exit 1; }

folder=${1:?a folder expected}
version=$(cat VERSION)
name=evws-$version
tag=v$version

git rev-parse -q --verify HEAD >/dev/null || die "not in a git repository"
[ -z "$(git status --porcelain)" ] || die "something is not committed"
case $version in
  *-dev) source='branch = "main"' ;;
  *)
    source="tag = \"$tag\""
    grep -q "^## \[$version\]" CHANGELOG.md ||
      die "CHANGELOG.md has no section [$version]"
    [ "$(git rev-parse -q --verify "$tag^{commit}")" = \
      "$(git rev-parse HEAD)" ] || die "the tag $tag is not here"
    ;;
esac

# luarocks knows no - but the one before the revision.
rock=$(echo "$version" | tr -d -)-1
rockspec=$folder/evws-$rock.rockspec

mkdir -p "$folder" || exit 1
git archive --format=tar --prefix="$name/" HEAD >"$folder/$name.tar" &&
  gzip -9 -n -f "$folder/$name.tar" &&
  awk -v version="$rock" -v source="$source" '
    /^version = / { $0 = "version = \"" version "\"" }
    /^  url = / { $0 = $0 ",\n  " source }
    { print }' evws-scm-1.rockspec >"$rockspec" || exit 1
echo "$folder/$name.tar.gz"
echo "$rockspec"
