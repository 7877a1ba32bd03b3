/** Two lanterns beside the title, swaying a little. */
export const Lanterns = () => (
  <div class="lanterns" aria-hidden="true">
    <Lantern />
    <Lantern />
  </div>
);

const Lantern = () => (
  <svg viewBox="0 0 60 118" aria-hidden="true">
    <path d="M30 0v18" stroke="#f7c948" stroke-width="1.6" />
    <path d="M21 18h18l-2 6H23zM23 70h14l2 6H21z" fill="#f7c948" />
    <ellipse cx="30" cy="47" rx="27" ry="25" fill="#ee4433" />
    <path
      d="M30 22c-17 0-17 50 0 50M30 22c17 0 17 50 0 50M30 22v50"
      fill="none"
      stroke="#ffb36b"
      stroke-opacity=".65"
      stroke-width="1.4"
    />
    <path
      d="M30 76v10M25 76l-2 30M30 86v24M35 76l2 30"
      stroke="#f7c948"
      stroke-width="1.6"
      stroke-linecap="round"
    />
  </svg>
);
