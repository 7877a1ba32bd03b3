import { useEffect, useMemo, useState } from 'preact/hooks';
import { type CampaignInfo, type ConnectionState, createHongbaoClient } from '../client/index.ts';
import { refreshAfterMs } from './campaign-refresh.ts';
import { Lanterns } from './lanterns.tsx';
import { campaignId, changeDemoUser, demoUser, isDemo, languageAsked, sessionSource } from './session.ts';
import { ShakeScreen } from './shake-screen.tsx';
import { pageStorage, remember } from './storage.ts';
import { WalletScreen } from './wallet-screen.tsx';
import { type Language, WORDS } from './words.ts';

const LANGUAGE_KEY = 'hongbao:language';

function firstLanguage(): Language {
  const wanted = languageAsked ?? pageStorage.getItem(LANGUAGE_KEY) ?? navigator.language;
  return wanted.startsWith('zh') ? 'zh' : 'en';
}

/** The page: two screens, one client. */
export function App() {
  const [language, setLanguage] = useState<Language>(firstLanguage);
  const [screen, setScreen] = useState<'shake' | 'wallet'>('shake');
  const [state, setState] = useState<ConnectionState>('connecting');
  const [campaign, setCampaign] = useState<CampaignInfo>();
  const user = useMemo(() => (isDemo ? demoUser() : ''), []);
  const client = useMemo(
    () =>
      createHongbaoClient({
        baseUrl: location.origin,
        campaignId,
        session: sessionSource(user),
        storage: pageStorage,
      }),
    [user],
  );
  const words = WORDS[language];

  useEffect(() => {
    document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en';
    remember(LANGUAGE_KEY, language);
  }, [language]);

  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>;
    let isGone = false;
    const refresh = async () => {
      const known = await client.campaign().catch(() => undefined);
      if (isGone) return;
      if (known) setCampaign(known);
      timer = setTimeout(() => void refresh(), refreshAfterMs(known, Math.random()));
    };
    const stop = client.on('state', setState);
    client.connect().catch(() => {});
    void refresh();
    return () => {
      isGone = true;
      clearTimeout(timer);
      stop();
      client.close();
    };
  }, [client]);

  const title = campaign?.title[language] ?? words.title;
  return (
    <main class="phone">
      <Lanterns />
      <header>
        <h1>{title}</h1>
        <button
          type="button"
          class="quiet"
          lang={language === 'zh' ? 'en' : 'zh-CN'}
          onClick={() => setLanguage(language === 'zh' ? 'en' : 'zh')}
        >
          {words.language}
        </button>
      </header>
      {(state === 'waiting' || state === 'refused') && (
        <p class="notice" role="status">
          {state === 'waiting' ? words.offline : words.refused}
        </p>
      )}
      {screen === 'shake' ? (
        <ShakeScreen
          client={client}
          words={words}
          language={language}
          campaign={campaign}
          onWallet={() => setScreen('wallet')}
        />
      ) : (
        <WalletScreen client={client} words={words} language={language} />
      )}
      {isDemo && <Who user={user} words={words} />}
      <nav aria-label={title}>
        <button
          type="button"
          aria-current={screen === 'shake' ? 'page' : undefined}
          onClick={() => setScreen('shake')}
        >
          <PacketIcon />
          {words.tabShake}
        </button>
        <button
          type="button"
          aria-current={screen === 'wallet' ? 'page' : undefined}
          onClick={() => setScreen('wallet')}
        >
          <PurseIcon />
          {words.tabWallet}
        </button>
      </nav>
    </main>
  );
}

/** On a developer's machine anybody may be anybody. */
function Who({ user, words }: { user: string; words: (typeof WORDS)['zh'] }) {
  const [name, setName] = useState<string>();
  if (name === undefined) {
    return (
      <p class="who">
        {words.signedInAs} <strong>{user}</strong>
        <button type="button" class="quiet" onClick={() => setName(user)}>
          {words.changeUser}
        </button>
      </p>
    );
  }
  return (
    <form
      class="who"
      onSubmit={(event) => {
        event.preventDefault();
        if (name.trim()) changeDemoUser(name.trim());
      }}
    >
      <label>
        {words.userName}{' '}
        <input value={name} maxLength={64} onInput={(event) => setName(event.currentTarget.value)} />
      </label>
      <button type="submit" class="quiet">
        {words.save}
      </button>
    </form>
  );
}

const PacketIcon = () => (
  <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.8" aria-hidden="true">
    <rect x="5" y="3" width="14" height="18" rx="2.5" />
    <path d="M5 7.5c4.5 4 9.5 4 14 0" />
    <circle cx="12" cy="11" r="2.2" fill="currentColor" />
  </svg>
);

const PurseIcon = () => (
  <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.8" aria-hidden="true">
    <path d="M4 8.5a2.5 2.5 0 0 1 2.5-2.5h11A2.5 2.5 0 0 1 20 8.5v8a2.5 2.5 0 0 1-2.5 2.5h-11A2.5 2.5 0 0 1 4 16.5z" />
    <path d="M20 11h-4.5a1.75 1.75 0 0 0 0 3.5H20" />
  </svg>
);
