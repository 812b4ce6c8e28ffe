package cnb

import (
	"net/http/httptest"
	"testing"
)

func TestABuildReachesItsRepositoryAndReadsTheRunImage(t *testing.T) {
	g := &gate{app: "blog", run: "cnb/run"}
	for _, c := range []struct {
		method, target string
		want           bool
	}{
		{"GET", "/v2/", true},
		{"POST", "/v2/", false},
		{"HEAD", "/v2/blog/blobs/sha256:00", true},
		{"POST", "/v2/blog/blobs/uploads/", true},
		{"PATCH", "/v2/blog/blobs/uploads/some-id?_state=x", true},
		{"POST", "/v2/blog/blobs/uploads/?mount=sha256:00&from=cnb/run", true},
		{"POST", "/v2/blog/blobs/uploads/?mount=sha256:00&from=shop", false},
		{"POST", "/v2/blog/blobs/uploads/?from=blog&mount=sha256:00&from=shop", false},
		{"PUT", "/v2/blog/manifests/sha256:00", true},
		{"GET", "/v2/cnb/run/manifests/sha256:00", true},
		{"PUT", "/v2/cnb/run/manifests/sha256:00", false},
		{"POST", "/v2/cnb/run/blobs/uploads/?mount=sha256:00&from=blog", false},
		{"GET", "/v2/shop/blobs/sha256:00", false},
		{"GET", "/v2/blog/../shop/blobs/sha256:00", false},
		{"GET", "/v2/shop/blobs/../../blog/blobs/sha256:00", false},
		{"GET", "/v2/blog%2F..%2Fshop/blobs/sha256:00", false},
		{"GET", "/v2/blog/blobs/..%2F..%2Fshop", false},
		{"GET", "/v2/blog//blobs/sha256:00", false},
		{"GET", "/v2/_catalog", false},
		{"GET", "/v2/blog/tags/list", false},
		{"GET", "/", false},
	} {
		r := httptest.NewRequest(c.method, "http://x"+c.target, nil)
		if got := g.allows(r); got != c.want {
			t.Errorf("%s %s: %v", c.method, c.target, got)
		}
	}
}
