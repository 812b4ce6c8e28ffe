package images

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Credentials are those of an app for one registry. The zero value is nobody.
type Credentials struct {
	Username, Password string
	// Hostname is the registry they are for, in any way docker writes it:
	// quay.io, https://index.docker.io/v1/. Empty: Docker Hub.
	Hostname string
}

// Host is the registry that the credentials are for, as Hosts names it; empty
// for none that there can be.
func (c Credentials) Host() string {
	text := strings.TrimSpace(c.Hostname)
	if text == "" {
		return DockerHub
	}
	if _, rest, ok := strings.Cut(text, "://"); ok {
		text = rest
	}
	text, _, _ = strings.Cut(text, "/")
	host, err := hostName(text)
	if err != nil {
		return ""
	}
	return host
}

func (c Credentials) given() bool { return c.Username != "" || c.Password != "" }

const (
	maxToken    = 64 << 10
	maxLifetime = time.Minute // for the answer with a token
)

var challengeParameter = regexp.MustCompile(`([a-zA-Z_]+)="([^"]*)"`)

// authorize finds out what the registry wants to see (RFC 9110, 11.6.1, and
// the distribution project's token authentication). What was shown and refused
// is not shown again.
func (r *remote) authorize(ctx context.Context, challenges []string, refused string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.token != refused {
		return nil // another request has a newer one
	}
	for _, challenge := range challenges {
		scheme, rest, _ := strings.Cut(strings.TrimSpace(challenge), " ")
		switch strings.ToLower(scheme) {
		case "basic":
			basic := r.basic()
			if basic == "" || basic == refused {
				return r.deny()
			}
			r.token = basic
			return nil
		case "bearer":
			parameters := make(map[string]string)
			for _, pair := range challengeParameter.FindAllStringSubmatch(rest, 16) {
				parameters[strings.ToLower(pair[1])] = pair[2]
			}
			token, err := r.fetchToken(ctx, parameters)
			if err == nil {
				r.token = "Bearer " + token
			}
			return err
		}
	}
	return r.deny()
}

func (r *remote) deny() error {
	return &fault{why: denied, host: r.host, text: "wants other credentials"}
}

func (r *remote) basic() string {
	if r.user == "" && r.password == "" {
		return ""
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(r.user+":"+r.password))
}

// fetchToken asks the service that the registry trusts for leave to pull.
func (r *remote) fetchToken(ctx context.Context, parameters map[string]string) (string, error) {
	realm, err := url.Parse(parameters["realm"])
	if err != nil || realm.Host == "" || realm.Scheme != "https" && realm.Scheme != "http" {
		return "", r.garbled("names no service that gives tokens")
	}
	if realm.Scheme == "http" && r.schemes[0] != "http" {
		return "", r.garbled("wants credentials sent without encryption")
	}
	query := realm.Query()
	if service := parameters["service"]; service != "" {
		query.Set("service", service)
	}
	query.Set("scope", "repository:"+r.repository+":pull")
	realm.RawQuery, realm.User, realm.Fragment = query.Encode(), nil, ""
	ctx, end := context.WithTimeout(ctx, min(2*r.silence, maxLifetime))
	defer end()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, realm.String(), http.NoBody)
	if err != nil {
		return "", r.garbled("names no service that gives tokens")
	}
	if basic := r.basic(); basic != "" {
		request.Header.Set("Authorization", basic)
	}
	answer, err := r.client.RoundTrip(request) // where it leads elsewhere is not followed
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		f := r.refused(answer)
		f.text = "does not give a token: its service " + f.text
		f.bad = r.basic() != "" && f.why == denied
		return "", f
	}
	return readToken(r, io.LimitReader(answer.Body, maxToken))
}

var tokenForm = regexp.MustCompile(`^[\x21-\x7e]+$`)

func readToken(r *remote, body io.Reader) (string, error) {
	var token struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(body).Decode(&token); err != nil {
		return "", r.garbled("gives no token that can be read")
	}
	if token.Token == "" {
		token.Token = token.AccessToken
	}
	if !tokenForm.MatchString(token.Token) {
		return "", r.garbled("gives no token that can be read")
	}
	return token.Token, nil
}
