package store_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

func TestANamedTokenComesBackWithItsScope(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withApp(t, s)
		want := platform.Token{
			Name: "ci", User: "ann", Scope: platform.Scope{Role: platform.RoleDeployer, Apps: []string{"blog"}},
			Created: moment, Expires: moment.AddDate(1, 0, 0),
		}
		write(t, s, func(tx *store.Tx) error {
			return errors.Join(tx.InsertToken("1", want, true), tx.InsertToken("2", platform.Token{Name: "ci", User: "ann"}, false),
				tx.InsertToken("3", platform.Token{Name: "all", User: "ann"}, true), tx.InsertToken("4", platform.Token{Name: "ci", User: "bob"}, true))
		})
		find := func(hash string) platform.Token {
			return read(t, s, func(tx *store.Tx) (platform.Token, error) {
				token, user, err := tx.Token(hash)
				same(t, user.Username, token.User)
				return token, err
			})
		}
		same(t, find("1"), want)
		write(t, s, func(tx *store.Tx) error { return tx.TouchToken("1", moment) })
		want.LastUsed = moment
		same(t, find("1"), want)
		same(t, read(t, s, func(tx *store.Tx) ([]platform.Token, error) { return tx.NamedTokens("ann") }),
			[]platform.Token{{Name: "all", User: "ann", Scope: platform.Scope{Apps: []string{}}}, want})
		wantField(t, failed(t, s, func(tx *store.Tx) error { return tx.InsertToken("5", platform.Token{Name: "ci", User: "ann"}, true) }),
			"name", "Token with this name already exists.")
	})
}

func TestATokenIsRevokedByNameAndNotTrimmed(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withApp(t, s)
		write(t, s, func(tx *store.Tx) error {
			for n := range 3 {
				login := platform.Token{Name: "ci", User: "ann", Created: moment.Add(time.Hour)}
				if err := tx.InsertToken(fmt.Sprint("login", n), login, false); err != nil {
					return err
				}
			}
			return errors.Join(tx.InsertToken("named", platform.Token{Name: "ci", User: "ann", Created: moment}, true), tx.TrimTokens("ann", 1))
		})
		there := func(hash string) bool {
			err := s.Read(t.Context(), func(tx *store.Tx) error { _, _, err := tx.Token(hash); return err })
			return err == nil
		}
		if !there("named") || !there("login0") || there("login1") {
			t.Error("trimming keeps the named ones, and the newest of the others")
		}
		write(t, s, func(tx *store.Tx) error { return tx.DeleteToken("ann", "ci") })
		if there("named") || !there("login0") {
			t.Error("revoking by name is of named ones alone")
		}
		wantNotFound(t, failed(t, s, func(tx *store.Tx) error { return tx.DeleteToken("ann", "ci") }), "Token")
		wantNotFound(t, failed(t, s, func(tx *store.Tx) error { return tx.TouchToken("named", moment) }), "Token")
	})
}

func TestADirectoryUserIsReplacedAndALocalOneIsNot(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withApp(t, s)
		eve := platform.User{Username: "eve", Email: "e@x.y", Active: true, Joined: moment, LastLogin: moment}
		write(t, s, func(tx *store.Tx) error { return tx.PutDirectoryUser(eve, []string{"ops", "dev"}) })
		want := eve
		want.Directory, want.Groups = true, []string{"ops", "dev"}
		get := func() platform.User {
			return read(t, s, func(tx *store.Tx) (platform.User, error) { return tx.User("eve") })
		}
		same(t, get(), want)
		same(t, read(t, s, func(tx *store.Tx) (string, error) { return tx.PasswordHash("eve") }), "")

		eve.Joined, eve.LastLogin, eve.FirstName, eve.Superuser = moment.AddDate(1, 0, 0), moment.AddDate(1, 0, 0), "Eve", true
		write(t, s, func(tx *store.Tx) error { return tx.PutDirectoryUser(eve, nil) })
		want.LastLogin, want.FirstName, want.Superuser, want.Groups = eve.LastLogin, "Eve", true, []string{}
		same(t, get(), want)

		wantField(t, failed(t, s, func(tx *store.Tx) error {
			return tx.PutDirectoryUser(platform.User{Username: "ann", Superuser: true}, nil)
		}), "username", "A user with that username already exists.")
		same(t, read(t, s, func(tx *store.Tx) (string, error) { return tx.PasswordHash("ann") }), "hash of ann")
	})
}

func TestAdministratorsAreListedByName(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withApp(t, s)
		write(t, s, func(tx *store.Tx) error {
			return errors.Join(tx.InsertUser(platform.User{Username: "Zoe", Superuser: true}, ""), tx.SetSuperuser("bob", true))
		})
		err := s.Read(t.Context(), func(tx *store.Tx) error {
			users, count, err := tx.Administrators(platform.Page{Limit: 1, Offset: 1})
			same(t, count, 2)
			if len(users) != 1 || users[0].Username != "bob" {
				t.Errorf("got %+v", users)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestAKeyIsFoundByItsMD5(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		withApp(t, s)
		want := platform.Key{UUID: "key-1", ID: "laptop", Owner: "bob", Public: "ssh-rsa AAAA", Fingerprint: "00:11", Created: moment, Updated: moment}
		write(t, s, func(tx *store.Tx) error { return tx.InsertKey(want, "sha") })
		same(t, read(t, s, func(tx *store.Tx) (platform.Key, error) { return tx.KeyByMD5("00:11") }), want)
		wantNotFound(t, s.Read(t.Context(), func(tx *store.Tx) error { _, err := tx.KeyByMD5("sha"); return err }), "Key")
	})
}

func TestTheAuditTrailIsChosenFromByEveryField(t *testing.T) {
	onEach(t, func(t *testing.T, open func() *store.Store) {
		s := open()
		day := func(n int) time.Time { return moment.AddDate(0, 0, n) }
		write(t, s, func(tx *store.Tx) error {
			for n, e := range []platform.Event{
				{App: "blog", User: "ann", Name: "app.created"},
				{App: "blog", User: "bob", Name: "release.deployed"},
				{App: "shop", User: "ann", Name: "release.deployed"},
				{User: "ann", Name: "user.created"},
			} {
				e.At = day(n)
				if err := tx.InsertEvent(e); err != nil {
					return err
				}
			}
			return nil
		})
		for _, c := range []struct {
			query platform.EventQuery
			want  []int64
			count int
		}{
			{platform.EventQuery{}, []int64{4, 3, 2, 1}, 4},
			{platform.EventQuery{App: "blog"}, []int64{2, 1}, 2},
			{platform.EventQuery{User: "ann"}, []int64{4, 3, 1}, 3},
			{platform.EventQuery{Name: "release.deployed"}, []int64{3, 2}, 2},
			{platform.EventQuery{App: "blog", User: "ann", Name: "app.created"}, []int64{1}, 1},
			{platform.EventQuery{Since: day(1), Until: day(3)}, []int64{3, 2}, 2},
			{platform.EventQuery{User: "ann", Since: day(2)}, []int64{4, 3}, 2},
			{platform.EventQuery{Page: platform.Page{Limit: 2, Offset: 1}}, []int64{3, 2}, 4},
			{platform.EventQuery{App: "nothing"}, nil, 0},
		} {
			err := s.Read(t.Context(), func(tx *store.Tx) error {
				events, count, err := tx.EventLog(c.query)
				var ids []int64
				for _, e := range events {
					ids = append(ids, e.ID)
				}
				same(t, ids, c.want)
				same(t, count, c.count)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}
