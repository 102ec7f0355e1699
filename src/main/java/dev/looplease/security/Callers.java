package dev.looplease.security;

import dev.looplease.loop.Caller;
import dev.looplease.loop.Quota;

/**
 * Makes callers of what a credential says, and of what is configured for all.
 *
 * @param defaultQuota of a credential that says nothing of it
 * @param usersSight what users see of others' things; whoever only looks, or answers for all, sees all
 */
record Callers(Quota defaultQuota, Caller.Sight usersSight) {

    Caller of(String name, Caller.Role role, Quota quota) {
        return new Caller(name, role, quota, role == Caller.Role.USER ? usersSight : Caller.Sight.FULL);
    }

    Caller of(String name, Caller.Role role) {
        return of(name, role, defaultQuota);
    }

    /** Everybody, where nobody is asked. */
    Caller anonymous() {
        return of(Caller.ANONYMOUS, Caller.Role.OPERATOR);
    }
}
