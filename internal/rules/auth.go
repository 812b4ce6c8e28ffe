package rules

import (
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/slipway-paas/slipway/internal/h1"
	"github.com/slipway-paas/slipway/internal/platform"
)

// maxCredentials bounds what Authorization may carry of a name and a password,
// in bytes of base64.
const maxCredentials = 1 << 10

// auth asks for a name and a password (RFC 7617). Immutable.
type auth struct {
	challenge string
	users     map[string]string // hash by name
	decoy     string            // a hash that stands in for that of a name nobody has
	print     [sha256.Size]byte // of users: what was found right is right for them alone
}

// setAuth lets nobody in by a user whose hash is none; the app stays shut for
// everybody else too.
func (r *Rules) setAuth() {
	w := r.wish.auth
	if w == nil {
		return
	}
	a := &auth{users: map[string]string{}, challenge: challenge(w.Realm)}
	if len(w.Users) > maxUsers {
		r.complain("an app may let in %d users; none of them is", maxUsers)
	} else {
		for name, hash := range w.Users {
			if !platform.ValidPasswordHash(hash) {
				r.complain("user %.80q has no usable hash of a password and is not let in", name)
				continue
			}
			a.users[name] = hash
			a.decoy = max(a.decoy, hash)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.users)) {
		a.print = sha256.Sum256(slices.Concat(a.print[:], []byte(name), []byte{0}, []byte(a.users[name])))
	}
	r.auth = a
}

// challenge is WWW-Authenticate's value: RFC 7617, 2 and 2.1.
func challenge(realm string) string {
	quoted := make([]byte, 0, len(realm)+2)
	for _, c := range []byte(realm[:min(len(realm), 200)]) {
		switch {
		case c == '"' || c == '\\':
			quoted = append(quoted, '\\', c)
		case c >= ' ' && c < 0x7f:
			quoted = append(quoted, c)
		}
	}
	if len(quoted) == 0 {
		quoted = []byte("restricted")
	}
	return `Basic realm="` + string(quoted) + `", charset="UTF-8"`
}

// ask judges the credentials of a request. It goes on when they were found
// right before; when nobody knows, the refusal says that they must be proven.
func (a *auth) ask(req *h1.Request, v *Visit, proofs *Proofs, now time.Duration) Refusal {
	if v.shut.auth == a {
		return v.shut.refusal
	}
	encoded, ok := basic(req.Fields)
	if !ok {
		return a.unauthorized()
	}
	mark := proofs.mark(a, encoded)
	switch proofs.known(mark, now) {
	case right:
		return Refusal{}
	case wrong:
		return a.unauthorized()
	case unknown:
	}
	return Refusal{Prove: true}
}

// unauthorized asks for a name and a password.
func (a *auth) unauthorized() Refusal {
	return Refusal{Status: http.StatusUnauthorized, Challenge: a.challenge}
}

func busy() Refusal { return Refusal{Status: http.StatusTooManyRequests, Retry: 2} }

// refusalOf is what a proof came to, for the auth that asked for it.
type refusalOf struct {
	auth    *auth
	refusal Refusal
}

// basic is the token of the one Authorization field, if that is of the Basic
// scheme (RFC 9110, 11.4; RFC 7617, 2). It is part of the field.
func basic(fields []h1.Field) (token []byte, ok bool) {
	found := 0
	for i := range fields {
		if h1.Is(fields[i].Name, "authorization") {
			token = fields[i].Value
			found++
		}
	}
	const scheme = "basic "
	if found != 1 || len(token) <= len(scheme) || !h1.Is(token[:len(scheme)], scheme) {
		return nil, false
	}
	token = token[len(scheme):]
	for len(token) > 0 && token[0] == ' ' {
		token = token[1:]
	}
	return token, len(token) > 0 && len(token) <= maxCredentials
}

// credentials are the name and the password of a token. Neither has a control
// character (RFC 7617, 2).
func credentials(token []byte) (name, password string, ok bool) {
	var room [maxCredentials]byte
	n, err := base64.StdEncoding.Strict().Decode(room[:], token)
	if err != nil {
		if n, err = base64.RawStdEncoding.Strict().Decode(room[:], token); err != nil {
			return "", "", false
		}
	}
	colon := -1
	for i, b := range room[:n] {
		if b < ' ' || b == 0x7f {
			return "", "", false
		}
		if b == ':' && colon < 0 {
			colon = i
		}
	}
	if colon < 0 {
		return "", "", false
	}
	return string(room[:colon]), string(room[colon+1 : n]), true
}
