/** Every accepted order ends in exactly one of these (I8). `void` stands behind its slice's fence: nobody was told "won". */
export type Outcome = 'credited' | 'already-credited' | 'conflicting' | 'void';
