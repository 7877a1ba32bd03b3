import { createTokenBook } from '../../src/engines/embedded/token-book.ts';
import { tokenBookContract } from './token-book.contract.ts';

tokenBookContract('the book in memory', createTokenBook);
