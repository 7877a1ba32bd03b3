import type { WalletLine } from '../client/index.ts';
import { yuan } from './money.ts';
import type { Language, Words } from './words.ts';

interface Props {
  lines: readonly WalletLine[];
  words: Words;
  language: Language;
}

const timeOf = (atMs: number, language: Language): string =>
  new Date(atMs).toLocaleString(language === 'zh' ? 'zh-CN' : 'en-GB', {
    month: 'short',
    day: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
  });

/** The wallet's lines, newest first. */
export function Records({ lines, words, language }: Props) {
  if (lines.length === 0) return <p class="empty">{words.noRecords}</p>;
  return (
    <ul class="records">
      {lines.map((line) => {
        const isOut = line.amountFen < 0;
        return (
          <li key={line.ref}>
            <span class={`mark ${isOut ? 'out' : 'in'}`} aria-hidden="true">
              {isOut ? '↗' : '福'}
            </span>
            <span class="what">
              {line.bill[language]}
              <time dateTime={new Date(line.atMs).toISOString()}>{timeOf(line.atMs, language)}</time>
            </span>
            <span class={`sum ${isOut ? 'out' : 'in'}`}>
              {isOut ? '' : '+'}
              {yuan(line.amountFen)}
              {line.kind === 'withdrawal' && <small>{words.recordState[line.status] ?? line.status}</small>}
            </span>
          </li>
        );
      })}
    </ul>
  );
}
