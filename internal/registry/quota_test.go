package registry_test

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

func (w *world) used(app string) int64 {
	w.t.Helper()
	used, err := w.registry.Used(app)
	if err != nil {
		w.t.Fatal(err)
	}
	return used
}

func TestAPushBeyondTheQuotaIsRefusedInWords(t *testing.T) {
	w := newWorld(t)
	w.put("blog", "a", w.image("blog", nil, strings.Repeat("a", 3000)))
	w.blob("blog/side", strings.Repeat("a", 3000)) // counts once
	before := w.used("blog")
	w.change(func() { w.quotas["blog"] = before + 1000 })
	begin := func() string { return w.must(202, "POST", "/v2/blog/blobs/uploads/", nil).header.Get("Location") }

	large := []byte(strings.Repeat("b", 1001))
	a := w.must(403, "PUT", w.with(begin(), "digest", digestOf(large)), large)
	if a.code() != "DENIED" || !strings.Contains(string(a.body), "images of app blog hold") || !strings.Contains(string(a.body), "slipway images gc") {
		t.Errorf("refusal: %s", a.body)
	}
	w.must(404, "HEAD", "/v2/blog/blobs/"+digestOf(large), nil)
	// One that could never fit is not even taken.
	huge := []byte(strings.Repeat("c", int(before)+2000))
	at := begin()
	w.must(403, "PATCH", at, huge)
	w.must(404, "GET", at, nil)

	w.blob("blog", strings.Repeat("a", 3000)) // is there already
	w.blob("blog", strings.Repeat("d", 1000)) // fits exactly
	w.must(403, "POST", "/v2/blog/blobs/uploads/?mount="+w.blob("shop", "e")+"&from=shop", nil)
	if got := w.used("blog"); got != before+1000 {
		t.Errorf("holds %d of %d", got, before+1000)
	}
	w.blob("shop", strings.Repeat("f", 5000)) // another app has no quota

	// Deleting makes room.
	w.must(202, "DELETE", "/v2/blog/blobs/"+digestOf([]byte(strings.Repeat("d", 1000))), nil)
	w.blob("blog", strings.Repeat("g", 1000))
}

func TestTheQuotaIsExactWhateverComesAtOnce(t *testing.T) {
	w := newWorld(t)
	const size, room, pushes = 1000, 10, 40
	w.quotas["blog"] = size * room
	var all sync.WaitGroup
	var mu sync.Mutex
	stored := 0
	for n := range pushes {
		all.Go(func() {
			content := fmt.Appendf(nil, "%0*d", size, n)
			begun := w.do("POST", "/v2/blog/blobs/uploads/", nil)
			if a := w.do("PUT", w.with(begun.header.Get("Location"), "digest", digestOf(content)), content); a.status == 201 {
				mu.Lock()
				defer mu.Unlock()
				stored++
			}
		})
	}
	all.Wait()
	if stored != room || w.used("blog") != size*room {
		t.Errorf("%d were stored, %d bytes, for %d", stored, w.used("blog"), room)
	}
}

// archive is a gzipped tar of files by name; a name that ends in .wh. is a whiteout.
func archive(t *testing.T, files ...string) []byte {
	t.Helper()
	var text bytes.Buffer
	packed := gzip.NewWriter(&text)
	out := tar.NewWriter(packed)
	for i := 0; i < len(files); i += 2 {
		header := &tar.Header{Name: files[i], Mode: 0o644, Size: int64(len(files[i+1])), Typeflag: tar.TypeReg}
		if err := out.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Write([]byte(files[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if err := packed.Close(); err != nil {
		t.Fatal(err)
	}
	return text.Bytes()
}

func TestAnImageTellsItsLayersWhatIsWastedAndWhatIsAttached(t *testing.T) {
	w := newWorld(t)
	layer := func(files ...string) []byte { return archive(t, files...) }
	base := layer("etc/motd", "hello", "opt/a/b", "1234567", "opt/c", "12", "srv/x/y", "123")
	image := imageOf(t,
		static.NewLayer(base, types.OCILayer),
		static.NewLayer(layer("etc/motd", "hi", "opt/.wh.a", "", "srv/x/.wh..wh..opq", "", "srv/x/z", "1"), types.OCILayer),
	)
	repo, err := name.NewRepository(strings.TrimPrefix(w.url, "http://")+"/blog", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	as := remote.WithAuth(&authn.Basic{Username: "slipway", Password: password})
	if err := remote.Write(repo.Tag("one"), image, as); err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(repo.Tag("two"), imageOf(t, static.NewLayer(base, types.OCILayer)), as); err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	w.put("blog", "", w.image("blog", object{"artifactType": "application/spdx+json", "subject": object{"mediaType": manifestType, "digest": digest.String(), "size": 1}}, "sbom"))

	ref, absent := "blog@"+digest.String(), "blog@sha256:"+strings.Repeat("0", 64)
	shallow, err := w.registry.Inspect(t.Context(), []string{ref, absent, "docker.io/x@y"}, false)
	if err != nil || shallow[0].Wasted != -1 || shallow[0].Missing || !shallow[1].Missing || !shallow[2].Missing {
		t.Fatalf("%+v %v", shallow, err)
	}
	for _, deep := range []bool{true, false} { // the second time it is known
		found, err := w.registry.Inspect(t.Context(), []string{ref}, deep)
		if err != nil {
			t.Fatal(err)
		}
		i := found[0]
		if i.Wasted != 5+7+3 || len(i.Layers) != 2 || !i.Layers[0].Shared || i.Layers[1].Shared || i.Layers[0].Size != int64(len(base)) {
			t.Errorf("%+v", i)
		}
		if len(i.Attached) != 1 || i.Attached[0].Type != "application/spdx+json" {
			t.Errorf("attached: %+v", i.Attached)
		}
	}
}

func TestWhoIsRefusedInTheMiddleOfABodyHearsWhy(t *testing.T) {
	w := newWorld(t)
	w.quotas["blog"] = 1000
	at := w.must(202, "POST", "/v2/blog/blobs/uploads/", nil).header.Get("Location")
	target, err := url.Parse(w.url)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", target.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const length = 32 << 20
	if where, err := url.Parse(at); err == nil {
		at = where.RequestURI()
	}
	credential := base64.StdEncoding.EncodeToString([]byte("slipway:" + password))
	fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Basic %s\r\nContent-Length: %d\r\n\r\n", at, target.Host, credential, length)
	if sent, err := io.CopyN(conn, zeros{}, length); err != nil {
		t.Errorf("it was cut off after %d bytes: %v", sent, err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || answer.StatusCode != http.StatusForbidden {
		t.Errorf("it heard %v, %v", answer, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
