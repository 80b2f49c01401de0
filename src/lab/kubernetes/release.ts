/** The release of Kubernetes whose API is served and whose habits are followed. */
export const RELEASE = { major: '1', minor: '36', version: 'v1.36.1' } as const;
