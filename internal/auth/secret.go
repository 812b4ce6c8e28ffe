package auth

import (
	"context"
	"errors"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// BySecret finds whose the user name and secret are, which is a token or the
// user's password, for doors whose protocol knows of nothing else. It makes no
// token. An empty username is that of the token. What is not right is
// ErrUnauthenticated after the same time; after too many of them the answer is
// a *ThrottledError.
func (a *Auth) BySecret(ctx context.Context, username, secret, from string) (platform.Caller, error) {
	if isToken(secret) {
		caller, _, err := a.ByToken(ctx, secret)
		if err == nil && (username == "" || username == caller.User) {
			caller.From = from
			return caller, nil
		}
		if err != nil && !errors.Is(err, platform.ErrUnauthenticated) {
			return platform.Caller{}, err
		}
	}
	var caller platform.Caller
	err := a.attempt(ctx, username, from, func() (name string, err error) {
		proof, err := a.prove(ctx, username, secret)
		if err != nil {
			return "", err
		}
		caller, err = a.recognize(ctx, proof, from)
		return proof.username, err
	})
	if errors.Is(err, errMismatch) {
		err = unauthenticated("Unable to log in with provided credentials.")
	}
	if err != nil {
		return platform.Caller{}, err
	}
	caller.From = from
	return caller, nil
}

// recognize is who a proof is of, if it still holds.
func (a *Auth) recognize(ctx context.Context, proof proof, from string) (caller platform.Caller, err error) {
	see := a.store.Read
	if proof.person != nil {
		see = a.store.Write // it may be the first time
	}
	err = see(ctx, func(tx *store.Tx) error {
		if err := proof.enter(tx, platform.Caller{User: proof.username, From: from}, time.Now()); err != nil {
			return err
		}
		user, err := tx.User(proof.username)
		caller, _, err = identify(user, err)
		return err
	})
	return caller, err
}
