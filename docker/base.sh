#!/bin/sh
# Makes a stand-in for the image debian:bookworm-slim out of Debian's own packages, where no registry
# can be reached:   docker/base.sh OUT.tar && docker import --change 'CMD ["bash"]' OUT.tar debian:bookworm-slim
#
# Needs mmdebstrap, and root or user namespaces. APT_SOURCE names another mirror. The same packages and the
# same SOURCE_DATE_EPOCH give the same bytes.
set -eu
out=$1
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-1700000000}
export SOURCE_DATE_EPOCH
# As the official image has it: no caches, no languages, no manual pages, no daemons started by an install.
# shellcheck disable=SC2016
snippets='d="$1/etc/apt/apt.conf.d"
cat >"$d/docker-clean" <<END
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true"; };
APT::Update::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
END
echo "Acquire::Languages \"none\";" >"$d/docker-no-languages"
echo "Acquire::GzipIndexes \"true\";" >"$d/docker-gzip-indexes"
echo "APT::AutoRemove::SuggestsImportant \"false\";" >"$d/docker-autoremove-suggests"
printf "#!/bin/sh\nexit 101\n" >"$1/usr/sbin/policy-rc.d"
chmod +x "$1/usr/sbin/policy-rc.d"
rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin "$1"/var/log/apt "$1"/var/log/dpkg.log \
    "$1"/var/cache/ldconfig/aux-cache'
# shellcheck disable=SC2086
exec mmdebstrap --quiet --variant=minbase \
    --aptopt='Acquire::Retries "3"' ${APT_OPTION:+--aptopt="$APT_OPTION"} \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/info/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --customize-hook="$snippets" bookworm "$out" ${APT_SOURCE:-}
