package auth

import (
	"context"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// NewUser is what somebody registers with. All but the first two may be empty.
type NewUser struct{ Username, Password, Email, FirstName, LastName string }

// The bounds of a user's fields, in characters; of the password, in bytes.
const (
	maxUsername = 150
	maxEmail    = 254
	maxName     = 150
	maxPassword = 4096
)

var (
	usernameForm = regexp.MustCompile(`^[\w.@+-]+$`)
	// emailForm is what mail systems accept in practice, not all of RFC 5322.
	emailForm = regexp.MustCompile(`^[^\s@<>"(),:;\\\[\]]{1,64}@([A-Za-z0-9\p{L}]([A-Za-z0-9\p{L}-]*[A-Za-z0-9\p{L}])?\.)+[A-Za-z0-9\p{L}-]*[A-Za-z\p{L}]$`)
)

// Register adds a user, if the caller may under Options.Registration (contract
// 1.4). Who registers while there is no administrator becomes one. Field
// errors have the words of the contract (1.9, 2.1).
func (a *Auth) Register(ctx context.Context, caller platform.Caller, user NewUser) (platform.User, error) {
	if caller.User != "" {
		if _, err := account(caller, ""); err != nil {
			return platform.User{}, err
		}
	}
	if err := a.store.Read(ctx, func(tx *store.Tx) error { return a.mayRegister(tx, caller) }); err != nil {
		return platform.User{}, err
	}
	if err := user.validate(); err != nil {
		return platform.User{}, err
	}
	hash, err := a.hasher.hash(ctx, user.Password)
	if err != nil {
		return platform.User{}, err
	}
	made := platform.User{
		Username: user.Username, Email: user.Email, FirstName: user.FirstName, LastName: user.LastName,
		Active: true, Joined: time.Now().UTC(),
	}
	err = a.store.Write(ctx, func(tx *store.Tx) error { return a.insert(tx, caller, &made, hash) })
	if err != nil {
		return platform.User{}, err
	}
	a.log.Info("user registered", "user", made.Username, "superuser", made.Superuser, "from", caller.From)
	return made, nil
}

// insert adds the user, as an administrator when there is none.
func (a *Auth) insert(tx *store.Tx, caller platform.Caller, made *platform.User, hash string) error {
	// Asked again: another may have become the first meanwhile.
	if err := a.mayRegister(tx, caller); err != nil {
		return err
	}
	superusers, err := tx.Superusers()
	if err != nil {
		return err
	}
	made.Superuser = superusers == 0
	if err := tx.InsertUser(*made, hash); err != nil {
		return err
	}
	if caller.User == "" {
		caller.User = made.Username
	}
	return record(tx, caller, "user.registered", "user", made.Username, "superuser", strconv.FormatBool(made.Superuser))
}

func (a *Auth) mayRegister(tx *store.Tx, caller platform.Caller) error {
	switch a.options.Registration {
	case RegistrationEnabled:
		return nil
	case RegistrationAdminOnly:
		superusers, err := tx.Superusers()
		switch {
		case err != nil:
			return err
		case caller.Admin || superusers == 0:
			return nil
		case caller.User == "":
			return forbidden(noCredentials)
		}
		return forbidden(noPermission)
	}
	return forbidden("Registration is disabled")
}

// validate names every field that breaks a rule.
func (u NewUser) validate() error {
	return errors.Join(
		validUsername(u.Username),
		validPassword("password", u.Password),
		validEmail(u.Email),
		atMost("first_name", u.FirstName, maxName),
		atMost("last_name", u.LastName, maxName),
	)
}

func validUsername(name string) error {
	switch {
	case name == "":
		return platform.Invalid("username", "This field may not be blank.")
	case !usernameForm.MatchString(name), name == ".", name == "..": // those two no path can name
		return platform.Invalid("username", "Enter a valid username. This value may contain only letters, numbers and @/./+/-/_ characters.")
	case strings.EqualFold(name, platform.System.User): // the ledger names it for what happens by itself
		return platform.Invalid("username", "A user with that username already exists.")
	}
	return atMost("username", name, maxUsername)
}

func validPassword(field, password string) error {
	if password == "" {
		return platform.Invalid(field, "This field may not be blank.")
	}
	if len(password) > maxPassword {
		return platform.Invalid(field, "Ensure this field has no more than %d characters.", maxPassword)
	}
	return nil
}

func validEmail(email string) error {
	if email != "" && !emailForm.MatchString(email) {
		return platform.Invalid("email", "Enter a valid email address.")
	}
	return atMost("email", email, maxEmail)
}

// atMost bounds a text field and refuses what no database column takes.
func atMost(field, text string, most int) error {
	if utf8.RuneCountInString(text) > most {
		return platform.Invalid(field, "Ensure this field has no more than %d characters.", most)
	}
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return platform.Invalid(field, "Null characters are not allowed.")
	}
	return nil
}
