/**
 * What a scene gives (seed 2022, 1.1 and 3.2). Each has an order number, a slice that pays for it and a place in the
 * wallet; a greeting card that a shake brings is no award. New types append a number, none is ever reused.
 */
const AWARD_TYPE_NUMBER = {
  /** 现金红包: the only one whose amount is money in the wallet; all others are pieces, worth something elsewhere. */
  cash: 1,
  /** 补贴视频红包 */
  'video-subsidy': 2,
  /** 商业化广告券 */
  'ad-coupon': 3,
  /** 电商券 */
  'shop-coupon': 4,
  /** 支付券 */
  'payment-coupon': 5,
  /** 消费金融券 */
  'finance-coupon': 6,
  /** 保险券 */
  'insurance-coupon': 7,
  /** 信用卡优惠券 */
  'credit-card-coupon': 8,
  /** 喜茶券 */
  'drinks-coupon': 9,
  /** 电影票券 */
  'cinema-ticket': 10,
  /** dou+券 */
  'promotion-coupon': 11,
  /** 抖音文创券 */
  'culture-coupon': 12,
  /** 头像挂件 */
  'avatar-pendant': 13,
  /** 祝福语: the consolation, given when something else is out of stock; nobody downstream has to do anything. */
  greeting: 14,
} as const;

export type AwardType = keyof typeof AWARD_TYPE_NUMBER;

export const AWARD_TYPES = Object.keys(AWARD_TYPE_NUMBER) as readonly AwardType[];

export const parseAwardType = (text: unknown): AwardType | undefined =>
  AWARD_TYPES.find((type) => type === text);

/** Whether the amount is credited as money that can be withdrawn; else it is what the piece is worth. */
export const isMoney = (type: AwardType): boolean => type === 'cash';
