/** Gold paper for a moment, on a canvas; nothing at all for those who asked for less motion. */
const COLOURS = ['#f7c948', '#ffe9a8', '#ff6b5e', '#ffffff', '#e0a106'];
const LASTS_MS = 1_800;

export function confetti(canvas: HTMLCanvasElement): void {
  const context = canvas.getContext('2d');
  if (!context || matchMedia('(prefers-reduced-motion: reduce)').matches) return;
  const { clientWidth: width, clientHeight: height } = canvas;
  canvas.width = width;
  canvas.height = height;
  const random = () => crypto.getRandomValues(new Uint16Array(1))[0]! / 65_536;
  const pieces = Array.from({ length: 90 }, () => ({
    x: width / 2,
    y: height * 0.42,
    speedX: (random() - 0.5) * 9,
    speedY: -4 - random() * 8,
    turn: random() * 6,
    size: 5 + random() * 6,
    colour: COLOURS[Math.floor(random() * COLOURS.length)]!,
  }));
  const start = performance.now();
  const draw = (now: number) => {
    context.clearRect(0, 0, width, height);
    const age = now - start;
    if (age > LASTS_MS) return;
    for (const piece of pieces) {
      piece.x += piece.speedX;
      piece.y += piece.speedY;
      piece.speedY += 0.32;
      piece.turn += 0.15;
      context.save();
      context.globalAlpha = Math.max(0, 1 - age / LASTS_MS);
      context.translate(piece.x, piece.y);
      context.rotate(piece.turn);
      context.fillStyle = piece.colour;
      context.fillRect(-piece.size / 2, -piece.size / 4, piece.size, piece.size / 2);
      context.restore();
    }
    requestAnimationFrame(draw);
  };
  requestAnimationFrame(draw);
}
