import { MACHINE_WIDE } from './node-spec.ts';

/** Where a node has the program that its containerd runs in the place of runc. */
export const GUARDED_RUNC = '/etc/containerd/runc';

/** A member of an OCI runtime specification, as Go writes it. Within a string each quote would have a backslash before it. */
const READ_ONLY = '"readonlyPaths":';

/**
 * runc, but for containers that would have nothing read-only: those of privileged pods, which get a /proc and a /sys of their own, where what a node can
 * only read would be writable again. It is then read-only there, too. containerd has no setting for that. Source: containerd
 * pkg/cri/server (`oci.WithPrivileged`), OCI runtime-spec config-linux.md ("Readonly Paths").
 */
export function guardedRunc(): string {
  const paths = MACHINE_WIDE.map((path) => `"${path}"`).join(',');
  return `#!/bin/sh
case " $* " in
  *" create "*) ;;
  *) exec runc "$@" ;;
esac
previous=
for word; do
  if [ "$previous" = --bundle ]; then bundle=$word; fi
  previous=$word
done
if ! grep -qF '${READ_ONLY}' "$bundle/config.json"; then
  sed -i 's|"linux":{|&${READ_ONLY}[${paths}],|' "$bundle/config.json"
  if ! grep -qF '${READ_ONLY}' "$bundle/config.json"; then
    echo "cannot make the machine's settings read-only in $bundle/config.json: it has no part for Linux" >&2
    exit 1
  fi
fi
exec runc "$@"
`;
}
