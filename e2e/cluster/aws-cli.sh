#!/usr/bin/env bash
# Makes an image of AWS's command line, localhost/aws-cli:e2e, of what a Python environment has of it: its interpreter, the
# command with what it needs for S3, a shell and a few commands of this machine.
#
# Usage: aws-cli.sh FOLDER PYTHON      PYTHON: an environment's, with `awscli`; writes FOLDER/aws-cli.tar
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
# shellcheck source=scripts/lib.sh
. "$here/../../scripts/lib.sh"

[ $# = 2 ] || fail "usage: aws-cli.sh FOLDER PYTHON"
{ read -r python; read -r library; read -r packages; } < <("$2" -c '
import os, sys, sysconfig
print(os.path.realpath(sys.executable), sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), sep="\n")')
stage="$(mktemp -d)"
trap 'rm -rf "$stage"' EXIT

# Makes a folder of links to what another one has, but for names of a pattern. Usage: links FROM TO BUT
links() {
    local file
    mkdir -p "$2"
    for file in "$1"/*; do
        grep -qxE "$3" <<<"${file##*/}" || ln -s "$file" "$2"
    done
}

home="$stage/lib/$(basename "$library")"
links "$library" "$home" 'config-.*|ensurepip|idlelib|lib-dynload|lib2to3|(site|dist)-packages|test|tkinter|turtledemo'
links "$library/lib-dynload" "$home/lib-dynload" '_tkinter.*|_test.*|xx.*'
# The examples, and how AWS's other services are called, are most of it. That there are such services is asked for.
aws="$home/site-packages/awscli"
links "$packages/awscli" "$aws" 'botocore|examples'
links "$packages/awscli/botocore" "$aws/botocore" data
(cd "$packages/awscli/botocore/data" && find . -name service-2.json) | while read -r service; do
    mkdir -p "$aws/botocore/data/${service%/*}"
    touch "$aws/botocore/data/$service"
done
rm -r "$aws"/botocore/data/{s3,sdb,sts}
ln -s "$packages"/awscli/botocore/data/{*.json,s3,sdb,sts} "$aws/botocore/data"
ln -s "$packages"/{certifi,colorama,dateutil,docutils,jmespath,pyasn1,rsa,six.py,urllib3,yaml} "$home/site-packages"
{
    echo "#!/usr/bin/${python##*/}"
    tail -n +2 "$(dirname "$2")/aws"
} >"$stage/aws"
chmod +x "$stage/aws"

"$here/image.py" localhost/aws-cli:e2e "$1/aws-cli.tar" "$python" "$(command -v cat)" "$(command -v ls)" "$(command -v mkdir)" \
    "$(command -v rm)" "$(command -v sleep)" --add /bin/dash:/bin/sh --add "$stage/lib:/usr/lib" --add "$stage/aws:/usr/bin/aws" \
    --env PYTHONHOME=/usr --entrypoint /usr/bin/aws
