package auth_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/slipway-paas/slipway/internal/auth"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/porttest"
	"github.com/slipway-paas/slipway/internal/store"
)

// asking is the rig with that directory.
func (r rig) asking(options auth.DirectoryOptions) rig {
	r.Helper()
	directory, err := auth.NewDirectory(options)
	if err != nil {
		r.Fatal(err)
	}
	r.options.Directory = directory
	return r.restarted()
}

// enters logs somebody in and returns their account.
func (r rig) enters(name, password string) platform.User {
	r.Helper()
	secret, err := r.Login(r.Context(), name, password, home)
	if err != nil {
		r.Fatalf("%s: %v\n%s", name, err, r.log)
	}
	_, user, err := r.ByToken(r.Context(), secret)
	if err != nil {
		r.Fatal(err)
	}
	return user
}

func (r rig) staysOut(name, password string) {
	r.Helper()
	_, err := r.Login(r.Context(), name, password, home)
	wantField(r.T, err, "non_field_errors", "Unable to log in with provided credentials.")
}

func TestWhomTheDirectoryKnowsHasAnAccountAfterTheFirstLogin(t *testing.T) {
	server := directory(t)
	onEach(t, auth.RegistrationDisabled, func(r rig) {
		r = r.asking(server.options())
		user := r.enters("dora", "doradora")
		if user.Username != "dora" || user.FirstName != "Dora" || user.LastName != "Doe" || user.Email != "dora@example.com" ||
			!user.Directory || !user.Active || user.Superuser || user.Joined.IsZero() || user.LastLogin.IsZero() {
			r.Errorf("got %+v", user)
		}
		if want := []string{"posix", "readers", "writers"}; !slices.Equal(user.Groups, want) {
			r.Errorf("groups %v, want %v", user.Groups, want)
		}
		r.enters("dora", "doradora")
		var names []string
		for _, event := range r.events("dora") {
			names = append(names, event.Name+" "+event.Attrs["by"]+" "+event.From)
		}
		if want := []string{"user.registered directory " + home, "user.logged_in directory " + home, "user.logged_in directory " + home}; !slices.Equal(names, want) {
			r.Errorf("got %v, want %v", names, want)
		}
		for _, password := range []string{"", "wrong", "doradora ", strings.Repeat("x", 5000)} {
			r.staysOut("dora", password)
		}
		for _, secret := range []string{"doradora", ownPassword} {
			if strings.Contains(r.log.String(), secret) {
				r.Errorf("a password is in the log:\n%s", r.log)
			}
		}
	})
}

func TestADNOfManySignsFindsItsGroupsAlone(t *testing.T) {
	r := newRig(t, "").asking(directory(t).options())
	user := r.enters("fay", "fayfay")
	if !slices.Equal(user.Groups, []string{"writers"}) || user.Email != "" || user.LastName != "Fay" {
		t.Errorf("got %+v", user)
	}
}

func TestGroupsAreThoseOfTheFilter(t *testing.T) {
	options := directory(t).options()
	options.GroupFilter = "objectClass=groupOfNames"
	r := newRig(t, "").asking(options)
	if user := r.enters("dora", "doradora"); !slices.Equal(user.Groups, []string{"writers"}) {
		t.Errorf("got %v", user.Groups)
	}
	options.GroupBase = "ou=nowhere," + suffix
	if user := r.asking(options).enters("dora", "doradora"); !slices.Equal(user.Groups, []string{"writers"}) {
		t.Errorf("got %v, want those of before: the directory does not say", user.Groups)
	}
	options.GroupBase = ""
	if user := r.asking(options).enters("dora", "doradora"); len(user.Groups) != 0 {
		t.Errorf("got %v, want none: nobody asks for them", user.Groups)
	}
}

func TestALoginTakesOverWhatTheDirectorySaysAndKeepsTheRest(t *testing.T) {
	server := directory(t)
	r := newRig(t, auth.RegistrationEnabled)
	r.register("root")
	r = r.asking(server.options())
	before := r.enters("dora", "doradora")
	if err := r.SetSuperuser(t.Context(), ann, "dora", true); err != nil {
		t.Fatal(err)
	}
	dn := "uid=dora,ou=people," + suffix
	server.modify(t, func(c *ldap.Conn) error {
		change := ldap.NewModifyRequest(dn, nil)
		change.Replace("sn", []string{"Roe\n\x01" + strings.Repeat("é", 200)})
		change.Delete("mail", nil)
		return c.Modify(change)
	})
	defer server.modify(t, func(c *ldap.Conn) error {
		change := ldap.NewModifyRequest(dn, nil)
		change.Replace("sn", []string{"Doe"})
		change.Replace("mail", []string{"dora@example.com"})
		return c.Modify(change)
	})
	after := r.enters("dora", "doradora")
	if after.LastName != "Roe  "+strings.Repeat("é", 145) || after.Email != "" || !after.Superuser || !after.Joined.Equal(before.Joined) {
		t.Errorf("got %+v, before %+v", after, before)
	}
}

func TestAPersonHasOneAccountHoweverTheyWriteTheName(t *testing.T) {
	r := newRig(t, "").asking(directory(t).options())
	for _, name := range []string{"DORA", "dora", "Dora"} {
		if user := r.enters(name, "doradora"); user.Username != "dora" {
			t.Errorf("%s is %s", name, user.Username)
		}
	}
}

func TestTheDirectoryTakesNoLocalAccountOver(t *testing.T) {
	server := directory(t)
	onEach(t, auth.RegistrationEnabled, func(r rig) {
		r.withUsers() // ann is in the directory too, with another password
		r = r.asking(server.options())
		for _, name := range []string{"ann", "ANN"} {
			r.staysOut(name, "annann")
		}
		if user := r.enters("ann", "ann"); user.Directory || user.LastName != "" || !user.Superuser {
			r.Errorf("got %+v", user)
		}
		if err := r.SetPassword(r.Context(), ann, "", "", "annann"); err != nil { // as the other's
			r.Fatal(err)
		}
		if user := r.enters("ann", "annann"); user.Directory || user.LastName != "" {
			r.Errorf("got %+v", user)
		}
		if !strings.Contains(r.log.String(), "directory not asked for a local user of the same name") {
			r.Errorf("the log does not say why:\n%s", r.log)
		}
		r.enters("dora", "doradora")
		_, err := r.Register(r.Context(), nobody, auth.NewUser{Username: "dora", Password: "x"})
		wantField(r.T, err, "username", "A user with that username already exists.")
	})
}

func TestOneEntryAloneCanLogIn(t *testing.T) {
	r := newRig(t, "").asking(directory(t).options())
	r.staysOut("twin", "twintwin")
	if !strings.Contains(r.log.String(), "nobody can log in by that name") {
		t.Errorf("the log does not say why:\n%s", r.log)
	}
	r.staysOut("Slipway", "slipwayslipway")
	r.staysOut("nobody", "x")
	if users, count, err := r.Users(t.Context(), ann, platform.Page{}); err != nil || count != 0 {
		t.Errorf("there are %+v, %v", users, err)
	}
}

func TestADirectoryMayBeOpenToAnybody(t *testing.T) {
	options := directory(t).options()
	options.BindDN, options.BindPassword, options.UserBase = "", "", "ou=open,"+suffix
	r := newRig(t, "").asking(options)
	r.enters("eve", "eveeve")
	r.staysOut("eve", "wrong")
}

func TestAPasswordOfTheDirectoryIsChangedThere(t *testing.T) {
	r := withUsers(t).asking(directory(t).options())
	r.enters("dora", "doradora")
	const there = "dora logs in at the directory (LDAP): the password is changed there, not here"
	dora := platform.Caller{User: "dora", From: home}
	wantField(t, r.SetPassword(t.Context(), dora, "", "doradora", "new"), "", there)
	wantField(t, r.SetPassword(t.Context(), ann, "dora", "", "new"), "", there)
	if err := r.Cancel(t.Context(), dora, ""); err != nil {
		t.Error(err)
	}
}

func TestWhoseAccountIsNotActiveStaysOut(t *testing.T) {
	r := newRig(t, "").asking(directory(t).options())
	user := r.enters("dora", "doradora")
	user.Active = false
	r.write(func(tx *store.Tx) error { return tx.PutDirectoryUser(user, nil) })
	r.staysOut("dora", "doradora")
}

func TestGuessesAtTheDirectoryAreThrottledHoweverTheNameIsWritten(t *testing.T) {
	r := newRig(t, "").asking(directory(t).options())
	for _, name := range []string{"dora", "DORA", "Dora", "dOra", "doRa", "dorA", "DOra", "doRA"} {
		if err := r.guess(name, home); throttled(err) {
			t.Fatalf("%s was throttled", name)
		}
	}
	if _, err := r.Login(t.Context(), "DorA", "doradora", home); !throttled(err) {
		t.Errorf("got %v, want that it was throttled", err)
	}
}

// refusing is an address where nothing listens.
func refusing(t *testing.T) string {
	t.Helper()
	port, err := porttest.Free(1)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// silent is an address where somebody reads everything and never answers, and
// what was read there.
func silent(t *testing.T) (string, func() string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	var heard bytes.Buffer
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				part := make([]byte, 4096)
				for {
					n, err := conn.Read(part)
					mu.Lock()
					heard.Write(part[:n])
					mu.Unlock()
					if err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() { listener.Close(); all.Wait() })
	return listener.Addr().String(), func() string {
		mu.Lock()
		defer mu.Unlock()
		return heard.String()
	}
}

func TestADirectoryThatIsDownOrSilentKeepsNoLocalUserOut(t *testing.T) {
	server := directory(t)
	r := withUsers(t).asking(server.options())
	r.enters("dora", "doradora")
	mute, _ := silent(t)
	for name, change := range map[string]func(*auth.DirectoryOptions){
		"down":             func(o *auth.DirectoryOptions) { o.Endpoint = "ldap://" + refusing(t) },
		"silent":           func(o *auth.DirectoryOptions) { o.Endpoint = "ldap://" + mute },
		"silent, TLS":      func(o *auth.DirectoryOptions) { o.Endpoint = "ldaps://" + mute },
		"silent, StartTLS": func(o *auth.DirectoryOptions) { o.Endpoint, o.StartTLS = "ldap://"+mute, true },
		"not ours":         func(o *auth.DirectoryOptions) { o.BindPassword = "another" },
		"empty":            func(o *auth.DirectoryOptions) { o.UserBase = "ou=nowhere," + suffix },
	} {
		t.Run(name, func(t *testing.T) {
			options := server.options()
			options.Timeout = 300 * time.Millisecond
			change(&options)
			r := r
			r.T = t
			r = r.asking(options)
			r.enters("bob", "bob")
			r.staysOut("dora", "doradora")
			if !strings.Contains(r.log.String(), "directory did not answer") {
				t.Errorf("the log does not say why:\n%s", r.log)
			}
		})
	}
}

func TestPasswordsGoThroughTLSToWhomTheCASigned(t *testing.T) {
	server := directory(t)
	for name, change := range map[string]func(*auth.DirectoryOptions){
		"ldaps":    func(o *auth.DirectoryOptions) { o.Endpoint = "ldaps://" + server.safe },
		"StartTLS": func(o *auth.DirectoryOptions) { o.StartTLS = true },
	} {
		t.Run(name, func(t *testing.T) {
			options := server.options()
			change(&options)
			options.CAFile = filepath.Join(server.dir, "ca.pem")
			r := newRig(t, "").asking(options)
			r.enters("dora", "doradora")
			for _, ca := range []string{filepath.Join(server.dir, "other.pem"), ""} {
				options.CAFile = ca
				r := newRig(t, "").asking(options)
				r.staysOut("dora", "doradora")
				if !strings.Contains(r.log.String(), "certificate") {
					t.Errorf("with %q: the log does not say why:\n%s", ca, r.log)
				}
			}
		})
	}
}

func TestNoPasswordLeavesBeforeStartTLS(t *testing.T) {
	mute, heard := silent(t)
	options := auth.DirectoryOptions{
		Endpoint: "ldap://" + mute, StartTLS: true, BindDN: ownDN, BindPassword: ownPassword,
		UserBase: suffix, UserAttribute: "uid", Timeout: 300 * time.Millisecond,
	}
	for ; heard() == "" && options.Timeout < time.Minute; options.Timeout *= 2 { // a busy machine may not even dial in time
		r := newRig(t, "").asking(options)
		r.staysOut("dora", "doradora")
	}
	if said := heard(); said == "" || strings.Contains(said, ownPassword) || strings.Contains(said, "dora") {
		t.Errorf("the wire heard %q", said)
	}
}

func TestADirectoryThatCannotWorkIsRefusedAtTheStart(t *testing.T) {
	good := auth.DirectoryOptions{Endpoint: "ldap://ldap.example.com", UserBase: "dc=example,dc=com", UserAttribute: "uid"}
	for name, change := range map[string]func(*auth.DirectoryOptions){
		"another scheme":         func(o *auth.DirectoryOptions) { o.Endpoint = "https://ldap.example.com" },
		"no host":                func(o *auth.DirectoryOptions) { o.Endpoint = "ldap.example.com" },
		"a path":                 func(o *auth.DirectoryOptions) { o.Endpoint = "ldap://ldap.example.com/dc=example" },
		"a password in the url":  func(o *auth.DirectoryOptions) { o.Endpoint = "ldap://a:b@ldap.example.com" },
		"TLS twice":              func(o *auth.DirectoryOptions) { o.Endpoint, o.StartTLS = "ldaps://ldap.example.com", true },
		"no base":                func(o *auth.DirectoryOptions) { o.UserBase = "" },
		"a base that is no DN":   func(o *auth.DirectoryOptions) { o.UserBase = "people" },
		"a DN without password":  func(o *auth.DirectoryOptions) { o.BindDN = ownDN },
		"a password without DN":  func(o *auth.DirectoryOptions) { o.BindPassword = "x" },
		"a filter for attribute": func(o *auth.DirectoryOptions) { o.UserAttribute = "(uid=*)" },
		"no filter":              func(o *auth.DirectoryOptions) { o.GroupFilter = "((" },
		"no CA there":            func(o *auth.DirectoryOptions) { o.CAFile = "/nowhere/ca.pem" },
		"a CA that is none":      func(o *auth.DirectoryOptions) { o.CAFile = "/etc/passwd" },
	} {
		options := good
		change(&options)
		if _, err := auth.NewDirectory(options); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	for endpoint, want := range map[string]bool{
		"ldap://ldap.example.com": true, "ldap://127.0.0.1:1389": false, "ldap://localhost": false, "ldap://[::1]": false, "ldaps://ldap.example.com": false,
	} {
		good.Endpoint = endpoint
		directory, err := auth.NewDirectory(good)
		if err != nil || directory.InTheClear() != want {
			t.Errorf("%s: in the clear is %v, want %v (%v)", endpoint, !want, want, err)
		}
	}
}

func TestOfManyLoginsAtOnceOneMakesTheAccount(t *testing.T) {
	server := directory(t)
	onEach(t, "", func(r rig) {
		r = r.asking(server.options())
		twin := openRig(r.T, "", r.url).asking(server.options())
		var all sync.WaitGroup
		var mu sync.Mutex
		var failed error
		for n := range 6 {
			all.Go(func() {
				_, err := []rig{r, twin}[n%2].Login(r.Context(), "dora", "doradora", home)
				mu.Lock()
				defer mu.Unlock()
				failed = errors.Join(failed, err)
			})
		}
		all.Wait()
		if failed != nil {
			r.Error(failed)
		}
		registered := slices.DeleteFunc(r.events("dora"), func(e platform.Event) bool { return e.Name != "user.registered" })
		if len(registered) != 1 {
			r.Errorf("registered %d times", len(registered))
		}
	})
}

// relay passes connections on to an address and counts the requests.
func relay(t *testing.T, to string) (string, *atomic.Int64) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var requests atomic.Int64
	pass := func(conn net.Conn) {
		server, err := net.Dial("tcp", to)
		if err != nil {
			conn.Close()
			return
		}
		all.Go(func() { _, _ = io.Copy(conn, server); conn.Close() })
		part := make([]byte, 1<<16)
		for { // a request is one write, and waits for its answer
			n, err := conn.Read(part)
			if err != nil {
				break
			}
			requests.Add(1)
			_, _ = server.Write(part[:n])
		}
		server.Close()
	}
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { pass(conn) })
		}
	})
	t.Cleanup(func() { listener.Close(); all.Wait() })
	return listener.Addr().String(), &requests
}

func TestTheDirectoryIsAskedAsMuchForNobodyAsForSomebody(t *testing.T) {
	server := directory(t)
	address, requests := relay(t, server.plain)
	options := server.options()
	options.Endpoint = "ldap://" + address
	r := withUsers(t).asking(options)
	r.enters("dora", "doradora")
	for _, name := range []string{"dora", "ann", "bob", "nobody"} { // of the directory, of both, local, of none
		requests.Store(0)
		r.staysOut(name, "wrong")
		if got := requests.Load(); got != 3 { // Slipway's own bind, the search, the bind as the entry
			t.Errorf("%s: %d requests, want 3", name, got)
		}
	}
}
