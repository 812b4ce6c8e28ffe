package images_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/images"
)

func TestMirrorsAreAskedInTheOrderTheyWereWritten(t *testing.T) {
	hosts, err := images.ParseHosts([]string{
		"docker.io=http://127.0.0.1:5001", "index.docker.io=https://Harbor.example.com/hub/", " quay.io=https://[::1]:5002", "quay.io=only", "",
	}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []images.Mirror{
		{URL: "http://127.0.0.1:5001", Host: "127.0.0.1:5001", Plain: true},
		{URL: "https://harbor.example.com/hub", Host: "harbor.example.com", Path: "hub"},
	}
	if got := hosts.Mirrors["docker.io"]; !slices.Equal(got, want) {
		t.Errorf("docker.io has %+v", got)
	}
	if hosts.Only["docker.io"] || !hosts.Only["quay.io"] || hosts.Mirrors["quay.io"][0].Host != "[::1]:5002" {
		t.Errorf("hosts are %+v", hosts)
	}
	if got := hosts.Names(); !slices.Equal(got, []string{"127.0.0.1:5001", "[::1]:5002", "docker.io", "harbor.example.com", "quay.io"}) {
		t.Errorf("names are %q", got)
	}
}

func TestWhatIsWrongWithAHostIsSaidAtTheDoor(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		mirrors, insecure, cas []string
		says                   string
	}{
		"a mirror of nothing":        {mirrors: []string{"http://127.0.0.1:5001"}, says: "write docker.io=https://"},
		"a mirror without a scheme":  {mirrors: []string{"docker.io=127.0.0.1:5001"}, says: "a mirror is an address"},
		"another scheme":             {mirrors: []string{"docker.io=ftp://mirror"}, says: "a mirror is an address"},
		"credentials in the address": {mirrors: []string{"docker.io=https://ann:hunter22@mirror"}, says: "credentials have no place"},
		"a query":                    {mirrors: []string{"docker.io=https://mirror/?a=b"}, says: "write http:// or https://"},
		"a path that climbs":         {mirrors: []string{"docker.io=https://mirror/../x"}, says: "no path of repositories"},
		"only, and no mirror":        {mirrors: []string{"quay.io=only"}, says: "no mirror to ask instead"},
		"an insecure URL":            {insecure: []string{"http://x"}, says: "write host or host:port"},
		"an authority of nobody":     {cas: []string{"/etc/ssl/x.pem"}, says: "write registry.example.com="},
		"a relative path":            {cas: []string{"x=ca.pem"}, says: "the whole path"},
		"a file that is not there":   {cas: []string{"x=/nowhere/ca.pem"}, says: "no such file"},
		"a file of something else":   {cas: []string{"x=" + empty}, says: "no certificate in PEM"},
	} {
		_, err := images.ParseHosts(c.mirrors, c.insecure, c.cas)
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter22") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
