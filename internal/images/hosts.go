package images

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// DockerHub is what Hosts calls the registry of names without a host.
const DockerHub = "docker.io"

// Hosts says how the registries elsewhere are reached, which a closed network
// decides. The zero value reaches each by its own name, by HTTPS that the
// machine's certificate authorities vouch for. Registries are named as users
// name them, host or host:port, in lower case; docker.io is Docker Hub.
type Hosts struct {
	// Mirrors are asked before the registry they stand before, in this order.
	Mirrors map[string][]Mirror
	// Only names the registries that are never asked themselves: where no
	// mirror has an image, nobody has.
	Only map[string]bool
	// Insecure registries, and mirrors, are asked by HTTPS whose certificate
	// nobody checks, or where they speak none, by plain HTTP.
	Insecure map[string]bool
	// CAs map a registry, or mirror, to the PEM file of the authorities that
	// vouch for it besides the machine's.
	CAs map[string]string
}

// Mirror is a registry that has what another has.
type Mirror struct {
	// URL is http:// or https://, a host and perhaps a path, under which the
	// mirror keeps the other's repositories.
	URL string
	// Host is the URL's host or host:port, as Insecure and CAs name it.
	Host string
	// Path is the URL's path without slashes at its ends.
	Path string
	// Plain: the URL says http://.
	Plain bool
}

// hostForm is host or host:port: a name, an IPv4 address, or [IPv6].
var hostForm = regexp.MustCompile(`^([a-z0-9]([a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(:[0-9]{1,5})?$`)

// ParseHosts reads what operators write: mirrors as "docker.io=http://mirror:5001"
// in the order in which they are asked, "docker.io=only" where the registry
// itself is not; insecure hosts; and CAs as "host=/path/ca.pem". It reads the
// CA files once, so that what is wrong with them is said at the door.
func ParseHosts(mirrors, insecure, cas []string) (Hosts, error) {
	h := Hosts{Mirrors: make(map[string][]Mirror), Only: make(map[string]bool), Insecure: make(map[string]bool), CAs: make(map[string]string)}
	for _, step := range []struct {
		texts []string
		take  func(string) error
	}{{mirrors, h.takeMirror}, {insecure, h.takeInsecure}, {cas, h.takeCA}} {
		for _, text := range step.texts {
			if text = strings.TrimSpace(text); text == "" {
				continue
			}
			if err := step.take(text); err != nil {
				return Hosts{}, err
			}
		}
	}
	for host := range h.Only {
		if len(h.Mirrors[host]) == 0 {
			return Hosts{}, fmt.Errorf("%s=only: names no mirror to ask instead: write %s=https://mirror.example.com before it", host, host)
		}
	}
	return h, nil
}

func (h *Hosts) takeMirror(text string) error {
	name, value, ok := strings.Cut(text, "=")
	host, err := hostName(name)
	if !ok || err != nil {
		return fmt.Errorf("%q is no mirror: write docker.io=https://mirror.example.com", text)
	}
	if value == "only" {
		h.Only[host] = true
		return nil
	}
	mirror, err := parseMirror(value)
	if err != nil {
		return err
	}
	h.Mirrors[host] = append(h.Mirrors[host], mirror)
	return nil
}

func parseMirror(text string) (Mirror, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return Mirror{}, errors.New("a mirror is an address such as https://mirror.example.com or http://127.0.0.1:5001") // the text may hold a password
	}
	host, err := hostName(u.Host)
	switch {
	case u.User != nil:
		return Mirror{}, fmt.Errorf("mirror %s: credentials have no place in its address: an app has them in its registry config", u.Host)
	case err != nil || u.RawQuery != "" || u.Fragment != "":
		return Mirror{}, fmt.Errorf("mirror %s: write http:// or https://, a host and perhaps a path", u.Redacted())
	}
	path := strings.Trim(u.Path, "/")
	if path != "" && !repositoryForm.MatchString(path) {
		return Mirror{}, fmt.Errorf("mirror %s: %q is no path of repositories", u.Host, path)
	}
	return Mirror{URL: strings.TrimSuffix(u.Scheme+"://"+host+"/"+path, "/"), Host: host, Path: path, Plain: u.Scheme == "http"}, nil
}

func (h *Hosts) takeInsecure(text string) error {
	host, err := hostName(text)
	if err == nil {
		h.Insecure[host] = true
	}
	return err
}

func (h *Hosts) takeCA(text string) error {
	name, path, ok := strings.Cut(text, "=")
	host, err := hostName(name)
	switch {
	case !ok || err != nil:
		return fmt.Errorf("%q is no authority of a registry: write registry.example.com=/etc/ssl/registry.pem", text)
	case !filepath.IsAbs(path):
		return fmt.Errorf("%s=%s: write the whole path of the file", host, path)
	}
	if _, err := readCAs(path); err != nil {
		return fmt.Errorf("%s: %w", host, err)
	}
	h.CAs[host] = path
	return nil
}

func readCAs(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", path)
	}
	return pool, nil
}

// hostName is a host or host:port as Hosts names it.
func hostName(text string) (string, error) {
	host := strings.ToLower(strings.TrimSpace(text))
	if !hostForm.MatchString(host) {
		return "", fmt.Errorf("%q is no registry: write host or host:port", text)
	}
	switch host {
	case "index.docker.io", "registry-1.docker.io":
		return DockerHub, nil
	}
	return host, nil
}

// Names are the registries and mirrors that something is said of, in order.
func (h Hosts) Names() []string {
	names := make(map[string]bool)
	for host, mirrors := range h.Mirrors {
		names[host] = true
		for _, m := range mirrors {
			names[m.Host] = true
		}
	}
	for host := range h.Insecure {
		names[host] = true
	}
	for host := range h.CAs {
		names[host] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// TLS is how a host is spoken to by HTTPS, host as Names tells it.
func (h Hosts) TLS(host string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: h.Insecure[host]} //nolint:gosec // for the hosts an operator named
	path, ok := h.CAs[host]
	if !ok {
		return config, nil
	}
	pool, err := readCAs(path)
	if err != nil {
		return nil, fmt.Errorf("registry %s: %w", host, err)
	}
	config.RootCAs = pool
	return config, nil
}

// plain reports whether a host may be spoken to by plain HTTP.
func (h Hosts) plain(host string) bool {
	if h.Insecure[host] {
		return true
	}
	for _, mirrors := range h.Mirrors {
		if slices.ContainsFunc(mirrors, func(m Mirror) bool { return m.Plain && m.Host == host }) {
			return true
		}
	}
	return false
}

// address is where a host listens.
func address(host string) string {
	if host == DockerHub {
		host = "registry-1.docker.io"
	}
	return host
}
