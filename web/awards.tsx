import { useEffect, useRef, useState } from 'preact/hooks';
import type { AwardLine, HongbaoClient } from '../client/index.ts';
import { Dialog } from './dialog.tsx';
import { yuan } from './money.ts';
import { problemText } from './problem-text.ts';
import type { Language, Words } from './words.ts';

interface Props {
  awards: readonly AwardLine[];
  client: HongbaoClient;
  words: Words;
  language: Language;
  /** The list is not true any more. */
  onUsed: () => void;
}

/** One character says what it is, as on a seal. */
const GLYPHS: Record<string, string> = {
  'video-subsidy': '视',
  'ad-coupon': '告',
  'shop-coupon': '购',
  'payment-coupon': '付',
  'finance-coupon': '融',
  'insurance-coupon': '保',
  'credit-card-coupon': '卡',
  'drinks-coupon': '饮',
  'cinema-ticket': '影',
  'promotion-coupon': '推',
  'culture-coupon': '文',
  'avatar-pendant': '挂',
  greeting: '贺',
};

/** Everything in the wallet that is not money: what it is, how far it is, and a way to use it. */
export function Awards({ awards, client, words, language, onUsed }: Props) {
  const [shown, setShown] = useState<AwardLine>();
  const list = useRef<HTMLUListElement>(null);
  /** Its button is gone once the new list is here, and the focus with it. */
  const justUsed = useRef(false);
  useEffect(() => {
    if (justUsed.current) list.current?.focus();
    justUsed.current = false;
  }, [awards]);
  return (
    <>
      <h2>{words.awards}</h2>
      <ul class="awards" ref={list} tabIndex={-1}>
        {awards.map((award) => (
          <li key={award.orderNumber} data-award={award.awardType} data-state={award.state}>
            <span class="glyph" aria-hidden="true">
              {GLYPHS[award.awardType] ?? '礼'}
            </span>
            <span class="what">
              {award.bill[language]}
              <small>{kindOf(award, words)}</small>
            </span>
            {isUsable(award) ? (
              <button
                type="button"
                class="quiet"
                aria-label={`${useWord(award, words)}: ${award.bill[language]}`}
                onClick={() => setShown(award)}
              >
                {useWord(award, words)}
              </button>
            ) : (
              award.awardType !== 'greeting' && <small class="state">{words.awardState[award.state]}</small>
            )}
          </li>
        ))}
      </ul>
      {shown && (
        <Voucher
          award={shown}
          client={client}
          words={words}
          language={language}
          returnTo={() => list.current}
          onClose={(used) => {
            setShown(undefined);
            justUsed.current = used;
            if (used) onUsed();
          }}
        />
      )}
    </>
  );
}

const isUsable = ({ state, awardType }: AwardLine): boolean =>
  state === 'fulfilled' && awardType !== 'greeting';

const useWord = ({ awardType }: AwardLine, words: Words): string =>
  awardType === 'avatar-pendant' ? words.wear : words.use;

const kindOf = ({ awardType, worthFen }: AwardLine, words: Words): string =>
  [words.awardType[awardType] ?? awardType, ...(worthFen > 0 ? [words.worth(yuan(worthFen))] : [])].join(
    ' · ',
  );

interface VoucherProps {
  award: AwardLine;
  client: HongbaoClient;
  words: Words;
  language: Language;
  returnTo: () => HTMLElement | null;
  onClose: (used: boolean) => void;
}

/** The code to show, and the button that says it was used. */
function Voucher({ award, client, words, language, returnTo, onClose }: VoucherProps) {
  const [problem, setProblem] = useState<unknown>();
  const [asking, setAsking] = useState(false);
  const onward = useRef<HTMLButtonElement>(null);
  useEffect(() => onward.current?.focus(), []);
  const use = async () => {
    if (asking) return;
    setAsking(true);
    setProblem(undefined);
    try {
      await client.useAward(award.orderNumber);
      onClose(true);
    } catch (error) {
      setProblem(error);
      setAsking(false);
    }
  };
  return (
    <Dialog
      label={award.bill[language]}
      returnTo={returnTo}
      onClose={asking ? undefined : () => onClose(false)}
    >
      <div class="sheet voucher">
        <h2>{award.bill[language]}</h2>
        <p class="label">{kindOf(award, words)}</p>
        {award.voucher !== undefined && (
          <p class="code">
            <small>{words.voucher}</small>
            <strong>{award.voucher}</strong>
          </p>
        )}
        {award.voucher !== undefined && <p class="label">{words.useHint}</p>}
        {problem !== undefined && (
          <p class="label" role="alert">
            {problemText(problem, words, language)}
          </p>
        )}
        <button type="button" class="gold" ref={onward} aria-disabled={asking} onClick={() => void use()}>
          {award.voucher === undefined ? useWord(award, words) : words.useNow}
        </button>
        <button type="button" class="plain" onClick={() => onClose(false)}>
          {words.cancel}
        </button>
      </div>
    </Dialog>
  );
}
