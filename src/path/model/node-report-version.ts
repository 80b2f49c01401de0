/** The `apiVersion` of a node report. Apart from its schema: who takes reports reads none, and building the schema takes longer than its start. */
export const NODE_REPORT_VERSION = 'hostport/v1';
