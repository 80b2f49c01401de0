/** How a pod is called in messages. */
export function podName({ namespace, name }: { namespace: string; name: string }): string {
  return namespace === 'default' ? name : `${namespace}/${name}`;
}
