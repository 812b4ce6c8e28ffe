package buildkitd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
)

// hosts reaches registries. Those the platform named are asked in the
// machine's network, where its own registry and mirrors may listen on loopback;
// whatever else a Dockerfile names is asked in the build's, which has none of it.
type hosts struct {
	registries map[string]Registry
	machine    *os.File // the machine's network namespace
	named      map[string]bool
}

func newHosts(c Config, machine *os.File) *hosts {
	h := &hosts{registries: c.Registries, machine: machine, named: make(map[string]bool)}
	for host, r := range c.Registries {
		h.name(host)
		for _, mirror := range r.Mirrors {
			host, _, _ := strings.Cut(mirror, "/")
			h.name(host)
		}
	}
	for _, variable := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		if proxy, err := url.Parse(os.Getenv(variable)); err == nil && proxy.Host != "" {
			h.name(proxy.Host)
		}
	}
	return h
}

// name has a host, at its port or those registries have, asked in the machine's network.
func (h *hosts) name(host string) {
	if _, _, err := net.SplitHostPort(host); err == nil {
		h.named[host] = true
		return
	}
	for _, port := range []string{"443", "80"} {
		h.named[net.JoinHostPort(strings.Trim(address(host), "[]"), port)] = true
	}
}

// address is where a registry listens.
func address(host string) string {
	if host == "docker.io" {
		return "registry-1.docker.io"
	}
	return host
}

// find is a docker.RegistryHosts: whom to ask for what a registry has, in order.
func (h *hosts) find(host string) ([]docker.RegistryHost, error) {
	r := h.registries[host]
	var found []docker.RegistryHost
	for _, mirror := range r.Mirrors {
		at, below, _ := strings.Cut(mirror, "/")
		one, err := h.one(at, below, docker.HostCapabilityPull|docker.HostCapabilityResolve)
		if err != nil {
			return nil, err
		}
		found = append(found, one)
	}
	if r.Only && len(found) > 0 {
		return found, nil
	}
	own, err := h.one(host, "", docker.HostCapabilityPull|docker.HostCapabilityResolve|docker.HostCapabilityPush)
	return append(found, own), err
}

func (h *hosts) one(host, below string, can docker.HostCapabilities) (docker.RegistryHost, error) {
	r := h.registries[host]
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: r.Insecure} //nolint:gosec // for the hosts an operator named
	for _, file := range r.CAs {
		text, err := os.ReadFile(file)
		if err != nil {
			return docker.RegistryHost{}, fmt.Errorf("registry %s: %w", host, err)
		}
		if config.RootCAs == nil {
			if config.RootCAs, err = x509.SystemCertPool(); err != nil {
				config.RootCAs = x509.NewCertPool()
			}
		}
		config.RootCAs.AppendCertsFromPEM(text)
	}
	var transport http.RoundTripper = &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: h.dial, TLSClientConfig: config,
		MaxIdleConns: 30, MaxIdleConnsPerHost: 4, IdleConnTimeout: 2 * time.Minute, TLSHandshakeTimeout: 10 * time.Second,
	}
	scheme := "https"
	switch {
	case r.Insecure:
		transport = docker.NewHTTPFallback(transport)
	case r.Plain:
		scheme = "http"
	}
	return docker.RegistryHost{
		Client: &http.Client{Transport: transport}, Scheme: scheme, Host: address(host), Path: path.Join("/v2", below), Capabilities: can,
	}, nil
}

const dialPatience = 30 * time.Second

// dial connects from the network the address belongs to.
func (h *hosts) dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: dialPatience, KeepAlive: time.Minute}
	if !h.named[address] {
		return dialer.DialContext(ctx, network, address)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	// First the addresses: a dial of several would leave this thread.
	all, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return nil, err
	}
	var conn net.Conn
	for _, one := range all {
		dialed := inside(h.machine, func() error {
			conn, err = dialer.DialContext(ctx, network, net.JoinHostPort(one, port))
			return err
		})
		if err = dialed; err == nil {
			return conn, nil
		}
	}
	return nil, err
}
