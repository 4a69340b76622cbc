import { createHash, timingSafeEqual } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import { getCookie, setCookie } from "hono/cookie";
import { Problem } from "./problem.ts";

/** The cookie that a browser keeps the token in. */
const COOKIE = "iqvae_token";
/** What a browser is given to be let in. */
const PARAMETER = "token";

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[?::1\]?)$/i;

/** Whether an address reaches programs on the same machine only. */
export function isLoopback(host: string): boolean {
  return LOOPBACK.test(host);
}

/**
 * Lets in who has the token: as a bearer, or in a cookie, which a browser is given when it opens any page with `?token=…`.
 *
 * Without a token a server is for this machine alone. Then the name that a request was sent to is looked at, too: the page of an attacker
 * can point a name of its own to 127.0.0.1, and is then for the browser of one origin with the server.
 */
export function guard(token: string | undefined): MiddlewareHandler {
  if (token === undefined) {
    return async (c, next) => {
      const { hostname } = new URL(c.req.url);
      if (!isLoopback(hostname))
        throw new Problem(
          421,
          `This server is for programs on the same machine, as localhost, but was asked as ${hostname}. Start it with a token for others.`,
        );
      await next();
    };
  }
  return async (c, next) => {
    const given = c.req.query(PARAMETER);
    if (given !== undefined && c.req.method === "GET" && isEqual(given, token)) {
      setCookie(c, COOKIE, token, { httpOnly: true, sameSite: "Strict", path: "/" });
      const { pathname, searchParams } = new URL(c.req.url);
      searchParams.delete(PARAMETER);
      // Out of the address, so that it is not copied with it.
      // One slash: two would begin the name of another server.
      return c.redirect(pathname.replace(/^\/+/, "/") + (searchParams.size > 0 ? `?${searchParams}` : ""), 303);
    }
    const bearer = /^Bearer +(.+)$/i.exec(c.req.header("authorization") ?? "")?.[1];
    if (!isEqual(bearer ?? getCookie(c, COOKIE) ?? "", token))
      throw new Problem(
        401,
        "The token of the server is missing or wrong. Send it as Authorization: Bearer …; in a browser open the page with ?token=… once.",
        { headers: { "WWW-Authenticate": "Bearer" } },
      );
    await next();
  };
}

/** Takes as long for any two texts. */
function isEqual(given: string, token: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(given), digest(token));
}
