/**
 * The one list of what can go wrong. It feeds the WebSocket code, the HTTP status, the log level and the metric label;
 * `retryable` tells a client whether the same request may succeed later. Codes are stable: append, never renumber.
 *
 * Three failures look different (docs/decisions/0003): a *refusal* is a value and moves nothing; a retryable fault is
 * a `RetryableFault` that carries its delay; a broken invariant throws `BrokenInvariant` and stops the process.
 */
interface ErrorKindSpec {
  readonly wireCode: number;
  readonly httpStatus: number;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
  readonly retryable: boolean;
  readonly en: string;
  readonly zh: string;
}

const kind = (
  wireCode: number,
  httpStatus: number,
  logLevel: ErrorKindSpec['logLevel'],
  retryable: boolean,
  en: string,
  zh: string,
): ErrorKindSpec => ({ wireCode, httpStatus, logLevel, retryable, en, zh });

export const ERROR_KINDS = {
  malformed: kind(1, 400, 'info', false, 'The request could not be read', '请求格式有误'),
  'too-large': kind(2, 413, 'info', false, 'The request is too large', '请求内容过大'),
  'not-found': kind(3, 404, 'debug', false, 'There is nothing here', '没有找到内容'),
  'method-not-allowed': kind(4, 405, 'debug', false, 'This method is not offered here', '不支持此方法'),
  'unsupported-media-type': kind(
    5,
    415,
    'info',
    false,
    'This content type is not taken here',
    '不支持此内容类型',
  ),
  'session-missing': kind(10, 401, 'info', false, 'A session is needed', '请先登录'),
  'session-invalid': kind(11, 401, 'info', false, 'This session is not valid', '登录已失效'),
  'session-expired': kind(12, 401, 'info', false, 'This session has expired', '登录已过期'),
  'credential-invalid': kind(13, 401, 'warn', false, 'This credential is not valid', '凭证无效'),
  forbidden: kind(14, 403, 'warn', false, 'This is not yours to do', '没有权限'),
  'campaign-unknown': kind(20, 404, 'info', false, 'No such campaign', '活动不存在'),
  'phase-closed': kind(21, 409, 'info', false, 'The campaign is not open at that time', '活动未开始或已结束'),
  'scene-unknown': kind(22, 404, 'info', false, 'No such scene', '场景不存在'),
  'rain-unknown': kind(23, 404, 'info', false, 'No such round', '场次不存在'),
  'award-unknown': kind(24, 404, 'info', false, 'No such award', '奖励不存在'),
  'award-not-ready': kind(25, 409, 'info', true, 'This award is still on its way', '奖励发放中，请稍后再试'),
  'phone-of-another': kind(
    26,
    409,
    'warn',
    false,
    'This phone number belongs to another person here, who has another one too',
    '该手机号已属于其他用户',
  ),
  'ticket-invalid': kind(30, 400, 'warn', false, 'This packet ticket is not valid', '红包凭证无效'),
  'ticket-expired': kind(31, 410, 'info', false, 'This packet was not opened in time', '红包已过期'),
  'ticket-foreign': kind(32, 403, 'warn', false, 'This packet belongs to someone else', '红包不属于你'),
  'person-cap-reached': kind(33, 409, 'info', false, 'All your packets are taken', '你的红包已领完'),
  'sponsor-cap-reached': kind(34, 409, 'info', false, 'You have this sponsor’s packet', '该企业红包已领过'),
  'order-conflict': kind(
    35,
    409,
    'warn',
    false,
    'This order number was used with other content',
    '订单号重复且内容不一致',
  ),
  'budget-exhausted': kind(36, 409, 'info', false, 'Nothing is left of this award', '奖励已发完'),
  'amount-invalid': kind(
    37,
    422,
    'info',
    false,
    'The amount is not a positive whole number of fen',
    '金额无效',
  ),
  'amount-over-cap': kind(
    38,
    422,
    'warn',
    false,
    'The amount is over the packet’s cap',
    '金额超过单个红包上限',
  ),
  'slice-fenced': kind(39, 409, 'info', true, 'The answer came too late to count; ask again', '请稍后重试'),
  'token-malformed': kind(40, 400, 'warn', false, 'This token could not be read', '红包令牌格式有误'),
  'token-key-unknown': kind(
    41,
    400,
    'warn',
    false,
    'This token’s key is unknown or revoked',
    '红包令牌密钥未知',
  ),
  'token-signature-invalid': kind(
    42,
    400,
    'warn',
    false,
    'This token’s signature does not hold',
    '红包令牌签名无效',
  ),
  'token-undecryptable': kind(43, 400, 'warn', false, 'This token was altered', '红包令牌已被篡改'),
  'token-foreign': kind(44, 403, 'warn', false, 'This token belongs to someone else', '红包令牌不属于你'),
  'token-wrong-phase': kind(45, 400, 'info', false, 'This token is of another phase', '红包令牌属于其他阶段'),
  'token-wrong-campaign': kind(
    46,
    400,
    'warn',
    false,
    'This token is of another campaign',
    '红包令牌属于其他活动',
  ),
  'too-many-tokens': kind(47, 400, 'info', false, 'Too many tokens in one request', '红包令牌过多'),
  'claim-invalid': kind(48, 400, 'warn', false, 'This claim record is not valid', '领取记录无效'),
  'idempotency-key-missing': kind(
    50,
    400,
    'info',
    false,
    'The Idempotency-Key header is needed',
    '缺少 Idempotency-Key',
  ),
  'idempotency-key-reused': kind(
    51,
    422,
    'warn',
    false,
    'This Idempotency-Key was used for another request',
    'Idempotency-Key 已用于其他请求',
  ),
  'idempotency-in-flight': kind(
    52,
    409,
    'info',
    true,
    'The same request is being worked on',
    '相同请求正在处理中',
  ),
  'insufficient-balance': kind(53, 409, 'info', false, 'The balance is too low', '余额不足'),
  'withdrawal-unknown': kind(54, 404, 'info', false, 'No such withdrawal', '提现记录不存在'),
  'cursor-invalid': kind(55, 400, 'info', false, 'This page cursor is not valid', '分页游标无效'),
  'reissue-unknown': kind(56, 404, 'info', false, 'No such reissue job', '补发任务不存在'),
  'reissue-not-now': kind(
    57,
    409,
    'info',
    false,
    'This can’t be done with the job now',
    '当前状态不支持此操作',
  ),
  'reissue-changed': kind(
    58,
    409,
    'warn',
    false,
    'The approval is of another content',
    '审批内容与任务内容不一致',
  ),
  'name-taken': kind(59, 409, 'info', false, 'This name is taken', '名称已被使用'),
  throttled: kind(60, 429, 'debug', true, 'Too many requests, slow down', '操作太频繁，请稍后再试'),
  overloaded: kind(
    61,
    503,
    'warn',
    true,
    'Too many people at once, try again shortly',
    '当前人数较多，请稍后再试',
  ),
  draining: kind(62, 503, 'info', true, 'This server is closing, connect again', '服务即将重启，请重新连接'),
  'log-unavailable': kind(
    70,
    503,
    'error',
    true,
    'Packets cannot be promised right now',
    '暂时无法发放红包，请稍后再试',
  ),
  'ledger-unavailable': kind(
    71,
    503,
    'error',
    true,
    'The ledger cannot be reached right now',
    '账户服务暂不可用，请稍后再试',
  ),
  'outcome-unknown': kind(
    72,
    503,
    'warn',
    true,
    'It is not known yet whether this was done; ask again with the same key',
    '结果确认中，请稍后查询',
  ),
  'control-unavailable': kind(
    73,
    503,
    'warn',
    true,
    'Control cannot be reached right now',
    '控制服务暂不可用',
  ),
  'book-unavailable': kind(
    74,
    503,
    'warn',
    true,
    'Packets that are not credited yet cannot be looked up right now',
    '暂时无法查询未入账红包',
  ),
  'totals-unavailable': kind(
    75,
    503,
    'info',
    true,
    'The total is not known here yet; ask again in a moment',
    '累计金额暂未获取，请稍后再试',
  ),
  internal: kind(99, 500, 'error', true, 'Something broke on our side', '服务内部错误'),
} as const satisfies Record<string, ErrorKindSpec>;

export type ErrorKind = keyof typeof ERROR_KINDS;

const BY_WIRE_CODE = new Map<number, ErrorKind>(
  (Object.keys(ERROR_KINDS) as ErrorKind[]).map((name) => [ERROR_KINDS[name].wireCode, name]),
);

export const errorKindOfWireCode = (wireCode: number): ErrorKind | undefined => BY_WIRE_CODE.get(wireCode);
