#!/bin/bash
# Writes runtime/modelservice_runtime/pages/vendor from the npm package swagger-ui-dist, whose digest is pinned here.
# The files are kept compressed and are sent so. To move to another release: change the two lines, run, commit.
set -euo pipefail
version=5.35.0
sha256=1b8e891893404ea4c3558b6a87e2a3e494e7eedba41168c2ece5800a391a6ea6

target=$(cd "$(dirname "$0")/../.." && pwd)/runtime/modelservice_runtime/pages/vendor
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
npm pack --silent "swagger-ui-dist@$version" >/dev/null
echo "$sha256  swagger-ui-dist-$version.tgz" | sha256sum --check --quiet
tar xzf "swagger-ui-dist-$version.tgz"
mkdir -p "$target"
for file in swagger-ui-bundle.js swagger-ui.css; do
  gzip -9 --no-name --stdout "package/$file" >"$target/$file.gz"
done
{
  cat package/NOTICE package/LICENSE
  printf '\nThe bundle holds parts of other projects, under these licences:\n\n'
  cat package/swagger-ui-bundle.js.LICENSE.txt
} >"$target/LICENSE"
printf 'swagger-ui-dist %s (npm), sha256 %s\n' "$version" "$sha256" >"$target/VERSION"
