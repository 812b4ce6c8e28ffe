package store

import (
	"fmt"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

const userColumns = "users.username, email, first_name, last_name, superuser, active, last_login, joined, directory, groups"

func scanUser(row scanner) (u platform.User, err error) {
	err = row.Scan(userFields(&u)...)
	return u, err
}

func userFields(u *platform.User) []any {
	return []any{&u.Username, &u.Email, &u.FirstName, &u.LastName, &u.Superuser, &u.Active, at(&u.LastLogin), at(&u.Joined), &u.Directory, fromJSON(&u.Groups)}
}

func noUser(name string) error { return &platform.NotFoundError{Kind: "User", ID: name} }

// InsertUser adds a user with the encoded hash of the password. A taken name
// is a FieldError of "username".
func (tx *Tx) InsertUser(u platform.User, passwordHash string) error {
	_, err := tx.exec(`INSERT INTO users (username, email, first_name, last_name, superuser, active, password, last_login, joined)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		u.Username, u.Email, u.FirstName, u.LastName, u.Superuser, u.Active, passwordHash, micros(u.LastLogin), micros(u.Joined))
	return err
}

// PutDirectoryUser adds a user whom a directory knows, with the groups it has
// them in and without a password, or replaces them but for when they joined.
// Directory and Groups of u are ignored. A
// name that a user of this platform's own has is a FieldError of "username".
func (tx *Tx) PutDirectoryUser(u platform.User, groups []string) error {
	return tx.change(platform.Invalid("username", "A user with that username already exists."),
		`INSERT INTO users (username, email, first_name, last_name, superuser, active, password, last_login, joined, groups, directory)
		VALUES (?, ?, ?, ?, ?, ?, '', ?, ?, ?, TRUE)
		ON CONFLICT (username) DO UPDATE SET email = excluded.email, first_name = excluded.first_name, last_name = excluded.last_name,
			superuser = excluded.superuser, active = excluded.active, last_login = excluded.last_login, groups = excluded.groups
		WHERE users.directory`,
		u.Username, u.Email, u.FirstName, u.LastName, u.Superuser, u.Active, micros(u.LastLogin), micros(u.Joined), asList(groups))
}

// User looks a user up by name.
func (tx *Tx) User(name string) (platform.User, error) {
	return one(tx, noUser(name), scanUser, "SELECT "+userColumns+" FROM users WHERE username = ?", name)
}

// PasswordHash is what InsertUser or SetPassword stored last.
func (tx *Tx) PasswordHash(name string) (string, error) {
	return one(tx, noUser(name), scanText, "SELECT password FROM users WHERE username = ?", name)
}

// SetPassword stores another encoded hash.
func (tx *Tx) SetPassword(name, passwordHash string) error {
	return tx.change(noUser(name), "UPDATE users SET password = ? WHERE username = ?", passwordHash, name)
}

// SetLastLogin notes when the user logged in.
func (tx *Tx) SetLastLogin(name string, when time.Time) error {
	return tx.change(noUser(name), "UPDATE users SET last_login = ? WHERE username = ?", micros(when), name)
}

// SetSuperuser makes the user an administrator or an ordinary user.
func (tx *Tx) SetSuperuser(name string, superuser bool) error {
	return tx.change(noUser(name), "UPDATE users SET superuser = ? WHERE username = ?", superuser, name)
}

// Users lists a page of users by name, and how many there are.
func (tx *Tx) Users(page platform.Page) ([]platform.User, int, error) {
	return window(tx, page, scanUser, selection{columns: userColumns, from: "users", order: "username COLLATE BINARY"})
}

// Administrators lists a page of the administrators by name, and how many there are.
func (tx *Tx) Administrators(page platform.Page) ([]platform.User, int, error) {
	return window(tx, page, scanUser, selection{columns: userColumns, from: "users WHERE superuser", order: "username COLLATE BINARY"})
}

// Superusers counts the administrators.
func (tx *Tx) Superusers() (int, error) {
	return tx.count("SELECT COUNT(*) FROM users WHERE superuser")
}

// DeleteUser removes a user with their tokens, keys, certificates and
// collaborations; domains such a certificate was attached to detach. What they
// made on apps of others becomes the app owner's. A user who owns apps is
// refused with an error that matches platform.ErrConflict.
func (tx *Tx) DeleteUser(name string) error {
	owned, err := tx.count("SELECT COUNT(*) FROM apps WHERE owner = ?", name)
	if err != nil {
		return err
	}
	if owned > 0 {
		return &platform.UserError{
			Kind:    platform.ErrConflict,
			Message: fmt.Sprintf("%s still has applications assigned. Delete or transfer ownership", name),
		}
	}
	groups, err := tx.count("SELECT COUNT(*) FROM config_groups WHERE owner = ?", name)
	if err != nil {
		return err
	}
	if groups > 0 {
		return &platform.UserError{
			Kind: platform.ErrConflict, Message: fmt.Sprintf("%s still has config groups", name),
			Cure: "Detach them from their apps and destroy them first.",
		}
	}
	for _, table := range ownedTables {
		_, err := tx.exec("UPDATE "+table+" SET owner = (SELECT owner FROM apps WHERE apps.id = "+table+".app) WHERE owner = ?", name)
		if err != nil {
			return err
		}
	}
	return tx.change(noUser(name), "DELETE FROM users WHERE username = ?", name)
}
