export interface Finding {
  invariant: string;
  what: string;
  where: string;
  detail: string;
}
export interface AuditReport {
  ok: boolean;
  checked: Record<string, number>;
  findings: Finding[];
}
export async function audit(_: {
  dataFolder: string;
  ledgerUrl: string;
  settled?: boolean;
  historyFile?: string;
}): Promise<AuditReport> {
  return { ok: true, checked: {}, findings: [] };
}
