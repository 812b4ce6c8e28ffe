package registry

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// tokenLife is how long a token says who somebody is.
const tokenLife = 5 * time.Minute

// The bounds of a request for a token.
const (
	maxTokenForm = 16 << 10
	maxGrants    = 16
	maxToken     = 16 << 10
)

// grant is what a client asked for: a resource and what to do with it
// (distribution's token specification, "Requesting a Token").
type grant struct {
	Type    string   `json:"t"`
	Name    string   `json:"n"`
	Actions []string `json:"a"`
}

// visitor is who asks, and what their token was asked for. What they may do is
// asked of the platform at each request, so that who loses a role loses it at
// once.
type visitor struct {
	Platform bool            `json:"p,omitempty"` // one of the platform's own parts
	Caller   platform.Caller `json:"c"`
	Grants   []grant         `json:"g"`
	Expires  int64           `json:"e"`

	unbounded bool // by the credential itself, without a token
}

// asked reports whether the token is for the action.
func (v visitor) asked(kind, name, action string) bool {
	return v.unbounded || slices.ContainsFunc(v.Grants, func(g grant) bool {
		return g.Type == kind && g.Name == name && (slices.Contains(g.Actions, action) || slices.Contains(g.Actions, "*"))
	})
}

// tokens signs and reads tokens: what they say in base64url, a dot, and its
// HMAC-SHA256 in base64url. Nobody but this process reads them.
type tokens struct{ key []byte }

func (t tokens) mac(text string) []byte {
	mac := hmac.New(sha256.New, t.key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

func (t tokens) issue(v visitor) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	said := base64.RawURLEncoding.EncodeToString(text)
	return said + "." + base64.RawURLEncoding.EncodeToString(t.mac(said)), nil
}

var errToken = errors.New("the token is not valid, or no longer")

func (t tokens) read(token string, now time.Time) (visitor, error) {
	said, signed, _ := strings.Cut(token, ".")
	given, err := base64.RawURLEncoding.DecodeString(signed)
	if len(token) > maxToken || err != nil || !hmac.Equal(given, t.mac(said)) {
		return visitor{}, errToken
	}
	text, err := base64.RawURLEncoding.DecodeString(said)
	var v visitor
	if err != nil || json.Unmarshal(text, &v) != nil || now.Unix() >= v.Expires {
		return visitor{}, errToken
	}
	return v, nil
}

// token answers the token endpoint: GET with HTTP basic authentication, or
// POST as OAuth 2 has it with grant_type password, or refresh_token, which is
// one of Slipway's own tokens.
func (r *Registry) token(w http.ResponseWriter, q *http.Request) error {
	if q.Method != http.MethodGet && q.Method != http.MethodPost {
		w.Header().Set("Allow", "GET, POST")
		return faultf(http.StatusMethodNotAllowed, "UNSUPPORTED", "ask for a token by GET or POST")
	}
	q.Body = http.MaxBytesReader(w, q.Body, maxTokenForm)
	if err := q.ParseForm(); err != nil {
		return faultf(http.StatusBadRequest, "UNSUPPORTED", "the request is not a form")
	}
	grants, err := grantsOf(q.Form["scope"])
	if err != nil {
		return err
	}
	username, secret, given := q.BasicAuth()
	if q.Method == http.MethodPost && !given {
		username, secret = q.PostForm.Get("username"), q.PostForm.Get("password")
		if refresh := q.PostForm.Get("refresh_token"); q.PostForm.Get("grant_type") == "refresh_token" {
			username, secret = "", refresh
		}
	}
	v, err := r.identify(q, username, secret)
	if err != nil {
		return err
	}
	now := time.Now()
	v.Grants, v.Expires = grants, now.Add(tokenLife).Unix()
	token, err := r.tokens.issue(v)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	answer := map[string]any{
		"token": token, "access_token": token, "expires_in": int(tokenLife.Seconds()), "issued_at": now.UTC().Format(time.RFC3339),
	}
	if q.Method == http.MethodPost {
		answer["scope"] = strings.Join(q.Form["scope"], " ")
	}
	reply(w, http.StatusOK, answer)
	return nil
}

// identify is who the credential belongs to.
func (r *Registry) identify(q *http.Request, username, secret string) (visitor, error) {
	if r.isPlatform(username, secret) {
		return visitor{Platform: true}, nil
	}
	if secret == "" || r.options.Login == nil {
		return visitor{}, faultf(http.StatusUnauthorized, "UNAUTHORIZED", "log in with your user name and your password or a token of slipway tokens")
	}
	from := origin(q)
	caller, err := r.options.Login(q.Context(), username, secret, from)
	switch {
	case errors.Is(err, platform.ErrUnauthenticated):
		return visitor{}, faultf(http.StatusUnauthorized, "UNAUTHORIZED", "nobody has this user name and password or token")
	case errors.Is(err, platform.ErrUnavailable):
		return visitor{}, faultf(http.StatusTooManyRequests, "TOOMANYREQUESTS", "%s", err)
	case err != nil:
		return visitor{}, err
	}
	caller.From = from
	return visitor{Caller: caller}, nil
}

// isPlatform compares in a time that does not depend on how much was right.
func (r *Registry) isPlatform(username, secret string) bool {
	same := func(a, b string) bool {
		x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
		return hmac.Equal(x[:], y[:])
	}
	name, password := same(username, r.options.User), same(secret, r.options.Password)
	return name && password
}

// grantsOf reads scopes: "repository:blog/sidecar:pull,push", several with
// spaces between them or in several parameters.
func grantsOf(scopes []string) ([]grant, error) {
	var grants []grant
	for scope := range strings.FieldsSeq(strings.Join(scopes, " ")) {
		kind, rest, ok := strings.Cut(scope, ":")
		colon := strings.LastIndexByte(rest, ':')
		if !ok || colon < 0 {
			continue // another registry's, such as an OAuth scope
		}
		grants = append(grants, grant{Type: kind, Name: rest[:colon], Actions: strings.Split(rest[colon+1:], ",")})
		if len(grants) > maxGrants {
			return nil, faultf(http.StatusBadRequest, "UNSUPPORTED", "a token is for at most %d scopes", maxGrants)
		}
	}
	return grants, nil
}
