package auth

import (
	"context"
	"errors"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// maxTokens is how many login tokens a user keeps: a login beyond ends the oldest.
const maxTokens = 100

// Login returns a token of its own for a user's password: 40 lower-case hex
// digits that hold until RegenerateTokens or, after maxTokens more logins, the
// token's turn to go. from is the remote address, with or without a port.
//
// A wrong name and a wrong password are one *platform.FieldError of
// "non_field_errors", after the same time. After too many of them the answer
// is a *ThrottledError. Whom the directory knows has an account after their
// first login.
func (a *Auth) Login(ctx context.Context, username, password, from string) (string, error) {
	var secret string
	err := a.attempt(ctx, username, from, func() (name string, err error) {
		proof, err := a.prove(ctx, username, password)
		if err != nil {
			return "", err
		}
		secret, err = a.admit(ctx, proof, from)
		return proof.username, err
	})
	if errors.Is(err, errMismatch) {
		return "", platform.Invalid("non_field_errors", "Unable to log in with provided credentials.")
	}
	if err != nil {
		return "", err
	}
	return secret, nil
}

var errMismatch = errors.New("no such user with that password")

// attempt runs a check of a password under the throttle. check returns whose
// password it was; its errMismatch is a failure that counts.
func (a *Auth) attempt(ctx context.Context, username, from string, check func() (string, error)) error {
	attempt, err := a.throttle.begin(username, from)
	if err != nil {
		a.log.Warn("password attempts throttled", "from", from, "err", err)
		return err
	}
	name, err := check()
	switch {
	case err == nil:
		attempt.succeed(name)
	case errors.Is(err, errMismatch):
		a.log.Info("password did not match", "from", from)
	case ctx.Err() == nil:
		attempt.forgive() // who hangs up may have had the password looked at
	}
	return err
}

// proof says whose password was right, and by what.
type proof struct {
	username string
	hash     string  // of the local password, as it was compared with
	person   *person // or what the directory said
}

// prove asks the directory and then the store whose password it is; it is
// errMismatch when it is nobody's. All but a right password of the directory
// take the same steps, whoever is known where.
func (a *Auth) prove(ctx context.Context, username, password string) (proof, error) {
	if a.directory != nil && len(password) <= maxPassword && validUsername(username) == nil {
		someone, err := a.directory.signIn(ctx, username, password, func(name string) (bool, error) { return a.admits(ctx, name) })
		switch {
		case err == nil:
			return proof{username: someone.username, person: &someone}, nil
		case !errors.Is(err, errMismatch):
			a.log.Warn("directory did not answer, local passwords alone count", "err", err)
		}
	}
	return a.proveLocal(ctx, username, password)
}

// proveLocal is prove by the store alone.
func (a *Auth) proveLocal(ctx context.Context, username, password string) (proof, error) {
	hash, err := a.passwordHash(ctx, username)
	if err != nil {
		return proof{}, err
	}
	matches, err := a.hasher.matches(ctx, password[:min(len(password), maxPassword+1)], hash)
	if err != nil {
		return proof{}, err
	}
	if !matches {
		return proof{}, errMismatch
	}
	return proof{username: username, hash: hash}, nil
}

// admits reports whether the directory may say who the user of that name is:
// not of an account that was made here, whose keys, tokens and rights belong to
// somebody who may be another.
func (a *Auth) admits(ctx context.Context, name string) (admitted bool, err error) {
	if err := validUsername(name); err != nil {
		a.log.Warn("a name of the directory is no username here", "user", name, "err", err)
		return false, nil
	}
	err = a.store.Read(ctx, func(tx *store.Tx) error {
		user, err := tx.User(name)
		admitted = errors.Is(err, platform.ErrNotFound) || (err == nil && user.Directory && user.Active)
		if err == nil && !user.Directory {
			a.log.Warn("directory not asked for a local user of the same name", "user", name)
		}
		if admitted {
			return nil
		}
		return err
	})
	return admitted, err
}

// passwordHash is empty for who may not log in by a password of ours.
func (a *Auth) passwordHash(ctx context.Context, username string) (encoded string, err error) {
	err = a.store.Read(ctx, func(tx *store.Tx) error {
		encoded = ""
		user, err := tx.User(username)
		if err != nil || !user.Active || user.Directory {
			return err
		}
		encoded, err = tx.PasswordHash(username)
		return err
	})
	if errors.Is(err, platform.ErrNotFound) {
		return "", nil
	}
	return encoded, err
}

// admit makes a token of a proof, if that still holds.
func (a *Auth) admit(ctx context.Context, proof proof, from string) (string, error) {
	secret := newToken()
	now := time.Now()
	caller := platform.Caller{User: proof.username, From: from}
	err := a.store.Write(ctx, func(tx *store.Tx) error {
		if err := proof.enter(tx, caller, now); err != nil {
			return err
		}
		if err := tx.SetLastLogin(proof.username, now); err != nil {
			return err
		}
		if err := tx.InsertToken(digest(secret), platform.Token{User: proof.username, Created: now}, false); err != nil {
			return err
		}
		if err := tx.TrimTokens(proof.username, maxTokens); err != nil {
			return err
		}
		return record(tx, caller, "user.logged_in", "by", proof.means())
	})
	if err != nil {
		return "", err
	}
	return secret, nil
}

func (p proof) means() string {
	if p.person != nil {
		return "directory"
	}
	return "password"
}

// enter makes sure that a proof holds still, in the transaction of what it
// opens: who took the password away, and ended the tokens, must have ended
// this login too.
func (p proof) enter(tx *store.Tx, caller platform.Caller, now time.Time) error {
	if p.person != nil {
		return p.mirror(tx, caller, now)
	}
	return p.holds(tx)
}

// holds is errMismatch when the local password is the user's no more.
func (p proof) holds(tx *store.Tx) error {
	user, err := tx.User(p.username)
	if errors.Is(err, platform.ErrNotFound) || (err == nil && (!user.Active || user.Directory)) {
		return errMismatch
	}
	if err != nil {
		return err
	}
	hash, err := tx.PasswordHash(p.username)
	if err == nil && hash != p.hash {
		err = errMismatch
	}
	return err
}

// mirror makes the account of a person what the directory says, unless it was
// made here meanwhile. It makes nobody an administrator.
func (p proof) mirror(tx *store.Tx, caller platform.Caller, now time.Time) error {
	user, err := tx.User(p.username)
	known := err == nil
	switch {
	case errors.Is(err, platform.ErrNotFound):
		user = platform.User{Username: p.username, Active: true, Directory: true, Joined: now}
	case err != nil:
		return err
	case !user.Active || !user.Directory:
		return errMismatch
	}
	user.FirstName, user.LastName, user.Email = p.person.firstName, p.person.lastName, p.person.email
	if p.person.groups != nil { // nil: it did not say
		user.Groups = p.person.groups
	}
	if err := tx.PutDirectoryUser(user, user.Groups); err != nil || known {
		return err
	}
	return record(tx, caller, "user.registered", "user", p.username, "by", p.means())
}
