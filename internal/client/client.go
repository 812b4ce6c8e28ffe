// Package client is the command line's side of the REST API: it is handed
// where a platform is and who asks, speaks one HTTP request a verb, and hands
// back internal/api's types or an error of a known kind.
package client

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
)

// Options say where the platform is and who asks.
type Options struct {
	// URL of the API, such as http://slipway.localhost:8080.
	URL string
	// Token of the user; empty: nobody.
	Token string
	// CAFile is a PEM file of authorities to trust besides the system's.
	CAFile string
	// Insecure accepts any certificate. Whoever sits between can read the token.
	Insecure bool
	// UserAgent names the program; empty: "slipway".
	UserAgent string
}

// Client speaks to one platform as one user. It is safe for concurrent use and
// needs no closing.
type Client struct {
	base  *url.URL
	token string
	agent string
	http  *http.Client // answers and streams
	ws    *http.Client // HTTP/1.1 only, for what upgrades
}

// New checks the options and reads the CA file; it speaks to nobody.
func New(o Options) (*Client, error) {
	base, err := ParseURL(o.URL)
	if err != nil {
		return nil, err
	}
	trusted, err := trust(o)
	if err != nil {
		return nil, err
	}
	c := &Client{base: base, token: o.Token, agent: o.UserAgent}
	if c.agent == "" {
		c.agent = "slipway"
	}
	c.http = newHTTP(trusted.Clone(), true)
	c.ws = newHTTP(trusted, false)
	return c, nil
}

// URL is where the platform is, without a trailing slash.
func (c *Client) URL() string { return c.base.String() }

// ParseURL reads what a user types for a platform: a URL, or a host that may
// have a port. Without a scheme it is https, but http for names and addresses
// of this machine. The error matches platform.ErrInvalid.
func ParseURL(text string) (*url.URL, error) {
	text = strings.TrimSpace(text)
	if text != "" && !strings.Contains(text, "://") {
		host, _, _ := strings.Cut(text, "/")
		if LocalHost(host) {
			text = "http://" + text
		} else {
			text = "https://" + text
		}
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "":
		return nil, platform.Invalid("url", "%q is no URL: write http://slipway.example.com", text)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, platform.Invalid("url", "%q has the scheme %s: write http or https", u.Redacted(), u.Scheme)
	case u.User != nil:
		return nil, platform.Invalid("url", "%q holds a password: log in instead", u.Redacted())
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host, Path: strings.TrimRight(u.Path, "/")}, nil
}

func trust(o Options) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: o.Insecure}
	if o.CAFile == "" {
		return config, nil
	}
	pem, err := os.ReadFile(o.CAFile)
	if err != nil {
		return nil, fmt.Errorf("CA file: %w", err)
	}
	config.RootCAs, err = x509.SystemCertPool()
	if err != nil {
		config.RootCAs = x509.NewCertPool()
	}
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, platform.Invalid("ca_file", "%s holds no PEM certificate", o.CAFile)
	}
	return config, nil
}
