package images_test

import (
	"strings"
	"testing"

	"github.com/slipway-paas/slipway/internal/images"
)

func TestNamesAreReadAsDockerReadsThem(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0a", 32)
	for text, want := range map[string]string{
		"nginx":                             "docker.io library/nginx latest",
		"nginx:1.27":                        "docker.io library/nginx 1.27",
		"ann/shop":                          "docker.io ann/shop latest",
		"docker.io/nginx":                   "docker.io library/nginx latest",
		"index.docker.io/ann/shop:2":        "docker.io ann/shop 2",
		"localhost/shop":                    "localhost shop latest",
		"127.0.0.1:5000/shop":               "127.0.0.1:5000 shop latest",
		"[::1]:5000/shop:x":                 "[::1]:5000 shop x",
		"quay.io/a/b/c_d.e--f:V_1.2-3":      "quay.io a/b/c_d.e--f V_1.2-3",
		"quay.io/a/b@" + digest:             "quay.io a/b " + digest,
		"nginx:1.27@" + digest:              "docker.io library/nginx 1.27 " + digest,
		"nginx:" + strings.Repeat("a", 128): "docker.io library/nginx " + strings.Repeat("a", 128),
	} {
		r, ok := images.ParseReference(text)
		if got := strings.Join(strings.Fields(r.Host+" "+r.Repository+" "+r.Tag+" "+r.Digest), " "); !ok || got != want {
			t.Errorf("%s is %q, %v", text, got, ok)
		}
	}
	for _, text := range []string{
		"", ":", "/", "@", "nginx:", "nginx@", "Nginx", "nginx@sha256:00", "nginx@sha512:" + strings.Repeat("0", 128), "a//b", "a/../b", "../b", "nginx:-x",
		"nginx:" + strings.Repeat("a", 129), "ann:pw@quay.io/x", "https://quay.io/x", "quay.io:99999999/x", "a b", strings.Repeat("a", 1001), "x/.y", "quay.io/",
	} {
		if r, ok := images.ParseReference(text); ok {
			t.Errorf("%q is an image: %+v", text, r)
		}
	}
}
