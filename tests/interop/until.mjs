// Waiting, the only way the tests do it: for a condition, with a deadline.

const POLL_MS = 5
export const DEADLINE_MS = 10_000

/**
 * Waits until `condition()`, or what it promises, is truthy and gives it; fails after `deadlineMs`
 * with `what` was waited for. `what` may be a function, called at failure, to show the state then.
 */
export const until = async (condition, what, deadlineMs = DEADLINE_MS) => {
  const start = performance.now()
  for (;;) {
    const value = await condition()
    if (value) return value
    if (performance.now() - start > deadlineMs) {
      throw new Error(`not within ${deadlineMs} ms: ${typeof what === 'function' ? await what() : what}`)
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}
