package images_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/slipway-paas/slipway/internal/images"
)

// twisted is a mirror with a good library/shop:1, but for requests that the
// twist answers itself and says so.
func twisted(t *testing.T, image v1.Image, twist func(http.ResponseWriter, *http.Request) bool) (host string) {
	t.Helper()
	honest := elsewhere()
	put(t, serve(t, honest), "library/shop:1", image)
	return serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !twist(w, r) {
			honest.ServeHTTP(w, r)
		}
	}))
}

func isManifest(r *http.Request) bool { return strings.Contains(r.URL.Path, "/manifests/") }
func isBlob(r *http.Request) bool     { return strings.Contains(r.URL.Path, "/blobs/") }

// until the client gives up.
func hang(w http.ResponseWriter, r *http.Request) {
	if flusher, ok := w.(http.Flusher); ok && w.Header().Get("Content-Length") != "" {
		flusher.Flush()
	}
	<-r.Context().Done()
}

func TestARegistryThatHangsOrLiesEndsInAnErrorAndNothingHalf(t *testing.T) {
	image := makeImage(t, 2)
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	layer := digestOf(t, layers[1])
	isLayer := func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, layer) }
	body := func(when func(*http.Request) bool, text string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if when(r) {
				_, _ = io.WriteString(w, text)
			}
			return when(r)
		}
	}
	for name, c := range map[string]struct {
		twist func(http.ResponseWriter, *http.Request) bool
		ref   string // empty: shop:1
		says  string
	}{
		"no headers":          {func(w http.ResponseWriter, r *http.Request) bool { hang(w, r); return true }, "", "does not answer in time"},
		"a manifest by drops": {drip(isManifest), "", "does not come to an end"},
		"a manifest without end": {func(w http.ResponseWriter, r *http.Request) bool {
			for isManifest(r) {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return true
				}
			}
			return false
		}, "", "answers with more than 4.0 MiB"},
		"a layer that stops": {func(w http.ResponseWriter, r *http.Request) bool {
			if isLayer(r) {
				w.Header().Set("Content-Length", "65536")
				_, _ = w.Write(make([]byte, 1000))
				hang(w, r)
			}
			return isLayer(r)
		}, "", "said nothing for 5s"},
		"a layer that breaks off": {func(w http.ResponseWriter, r *http.Request) bool {
			if isLayer(r) {
				w.Header().Set("Content-Length", "65536")
				_, _ = w.Write(make([]byte, 1000))
				w.(http.Flusher).Flush()
				panic(http.ErrAbortHandler)
			}
			return false
		}, "", "in the middle of the layer"},
		"a layer that is short":         {body(isLayer, "short"), "", "ended in the middle of the layer"},
		"a layer that is another":       {body(isLayer, strings.Repeat("x", 1<<17)), "", "hands out something else for the layer"},
		"a layer that is missing":       {func(w http.ResponseWriter, r *http.Request) bool { return isLayer(r) && notFound(w) }, "", "lacks the layer"},
		"a config that is another":      {body(func(r *http.Request) bool { return isBlob(r) && !isLayer(r) }, "{}"), "", "hands out something else"},
		"a page of HTML":                {body(func(*http.Request) bool { return true }, "<html>hello</html>"), "", "not JSON"},
		"nothing":                       {body(isManifest, ""), "", "not JSON"},
		"an empty object":               {body(isManifest, "{}"), "", "neither an image nor an index"},
		"another manifest for a digest": {body(isManifest, `{"manifests":[]}`), "shop@" + digestOf(t, image)[:70] + "0", "hands out sha256:"},
		"a digest that is not its":      {liar(isManifest), "", "has the digest sha256:000"},
		"a loop": {func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
			return true
		}, "", "leads in a circle"},
		"a way to nowhere":              {func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusFound); return true }, "", "leads to no address"},
		"a way without encryption":      {to("http://example.com:81/"), "", "without encryption"},
		"a way that is none of the web": {to("file:///etc/passwd"), "", "leads to"},
		"failure": {func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(500)
			_, _ = w.Write([]byte(secret))
			return true
		}, "", "answered 500"},
		"an answer that is no HTTP":  {garbage, "", "does not answer as a registry does"},
		"the same question for ever": {func(w http.ResponseWriter, _ *http.Request) bool { return unauthorized(w, `Basic realm="x"`) }, "", "Permission Denied"},
		"tokens that help nobody":    {forever(), "", "Permission Denied"},
		"a token from nowhere":       {func(w http.ResponseWriter, _ *http.Request) bool { return unauthorized(w, `Bearer realm="nowhere"`) }, "", "names no service"},
		"a service without encryption": {func(w http.ResponseWriter, _ *http.Request) bool {
			return unauthorized(w, `Bearer realm="http://example.com:81/t"`)
		}, "", "without encryption"},
		"a challenge that nobody can read": {func(w http.ResponseWriter, _ *http.Request) bool { return unauthorized(w, `Negotiate`) }, "", "Permission Denied"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(t).mirrors(twisted(t, image, c.twist))
			p.options = images.Hasty(p.options)
			if slices.Contains([]string{"does not answer in time", "does not come to an end", "said nothing for 5s"}, c.says) {
				p.options.Silence = 5 * time.Second // for those that are silent alone
			}
			ref := c.ref
			if ref == "" {
				ref = "shop:1"
			}
			p.refuses(ref, c.says)
		})
	}
}

// drip sends a byte now and then, and never ends.
func drip(when func(*http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !when(r) {
			return false
		}
		ticks := time.NewTicker(20 * time.Millisecond)
		defer ticks.Stop()
		for {
			select {
			case <-r.Context().Done():
				return true
			case <-ticks.C:
				_, _ = w.Write([]byte(" "))
				w.(http.Flusher).Flush()
			}
		}
	}
}

func notFound(w http.ResponseWriter) bool { w.WriteHeader(http.StatusNotFound); return true }

func unauthorized(w http.ResponseWriter, challenge string) bool {
	w.Header().Set("WWW-Authenticate", challenge)
	w.WriteHeader(http.StatusUnauthorized)
	return true
}

// forever gives tokens that it does not take.
func forever() func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/token" {
			_, _ = io.WriteString(w, `{"token":"abc"}`)
			return true
		}
		return unauthorized(w, `Bearer realm="http://`+r.Host+`/token",service="x"`)
	}
}

func liar(when func(*http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if when(r) {
			w.Header().Set("Docker-Content-Digest", "sha256:"+strings.Repeat("0", 64))
			_, _ = io.WriteString(w, "{}")
		}
		return when(r)
	}
}

func to(address string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Location", address)
		w.WriteHeader(http.StatusTemporaryRedirect)
		return true
	}
}

func garbage(w http.ResponseWriter, _ *http.Request) bool {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_, _ = conn.Write([]byte("220 mail.example.com ESMTP " + secret + "\r\n"))
		_ = conn.Close()
	}
	return true
}

func TestAManifestThatCannotBeTrueIsRefusedBeforeALayerIsFetched(t *testing.T) {
	config := func(diffs int) string {
		return `{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[` + strings.TrimSuffix(strings.Repeat(`"x",`, diffs), ",") + `]}}`
	}
	const (
		gzipped = "application/vnd.oci.image.layer.v1.tar+gzip"
		one     = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	)
	layer := func(kind, digest string, size int64, more ...string) string {
		return `{"mediaType":"` + kind + `","digest":"` + digest + `","size":` + strconv.FormatInt(size, 10) + strings.Join(more, "") + `}`
	}
	with := func(text string, layers ...string) string {
		return `{"schemaVersion":2,"config":` + layer("application/vnd.oci.image.config.v1+json", sha(text), int64(len(text))) + `,"layers":[` + strings.Join(layers, ",") + `]}`
	}
	of := func(layers ...string) string { return with(config(len(layers)), layers...) }
	const silent = `{"rootfs":{"type":"layers","diff_ids":["x"]}}`
	for name, c := range map[string]struct{ manifest, config, says string }{
		"ten gigabytes":         {of(layer(gzipped, one, 10<<30)), config(1), "is larger than the 1.0 GiB this platform allows (--max-image): its layers are 10.0 GiB and more"},
		"more than there are":   {of(layer(gzipped, one, 1<<62), layer(gzipped, one, 1<<62)), config(2), "is larger than"},
		"less than nothing":     {of(layer(gzipped, one, -1)), config(1), "has a manifest that lies: its layer 1 is"},
		"a size of nothing":     {of(layer(gzipped, one, 0)), config(1), "has a manifest that lies"},
		"a digest that climbs":  {of(layer(gzipped, "sha256:../../../x", 1)), config(1), "has a manifest that lies"},
		"another hash":          {of(layer(gzipped, "md5:1234", 1)), config(1), "has a manifest that lies"},
		"a foreign layer":       {of(layer("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", one, 1)), config(1), "has a foreign layer (number 1)"},
		"a layer by address":    {of(layer(gzipped, one, 1, `,"urls":["http://169.254.169.254/"]`)), config(1), "has a foreign layer"},
		"a layer of something":  {of(layer("text/plain", one, 1)), config(1), `of the type "text/plain"`},
		"no layers":             {of(), config(0), "has no layers"},
		"too many layers":       {of(strings.Split(strings.TrimSuffix(strings.Repeat(layer(gzipped, one, 1)+"|", 300), "|"), "|")...), config(300), "has 300 layers, 256 are allowed"},
		"layers not counted":    {with(config(2), layer(gzipped, one, 1)), config(2), "has a manifest that lies: it has 1 layers, and its config 2"},
		"an artifact":           {strings.Replace(of(layer(gzipped, one, 1)), "vnd.oci.image.config.v1", "vnd.helm.config.v1", 1), config(1), "is no container image"},
		"a config of gigabytes": {strings.Replace(of(layer(gzipped, one, 1)), `"size":`, `"size":1000000000`, 1), config(1), "has a manifest that lies: its config"},
		"schema 1":              {`{"schemaVersion":1,"name":"x","tag":"1","fsLayers":[{"blobSum":"` + one + `"}],"history":[]}`, "", "docker's schema 1"},
		"both image and index":  {strings.Replace(of(layer(gzipped, one, 1)), "{", `{"manifests":[],`, 1), config(1), "neither an image nor an index"},
		"not what it says":      {strings.Replace(of(layer(gzipped, one, 1)), "{", `{"mediaType":"application/vnd.oci.image.index.v1+json",`, 1), config(1), "not what it says"},
		"an index of nothing":   {`{"schemaVersion":2,"manifests":[]}`, "", "is not for linux/amd64, which this platform's machines are, but for nothing"},
		"for nobody":            {with(silent, layer(gzipped, one, 1)), silent, "does not say what kind of machine"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fetched := false
			host := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case isManifest(r):
					_, _ = io.WriteString(w, c.manifest)
				case strings.HasSuffix(r.URL.Path, sha(c.config)):
					_, _ = io.WriteString(w, c.config)
				default:
					fetched = true
					notFound(w)
				}
			}))
			p := open(t).mirrors(host)
			p.options.Architecture, p.options.MaxBytes = "amd64", 1<<30
			p.refuses("shop:1", c.says)
			if fetched {
				t.Error("a layer was asked for")
			}
		})
	}
}

func sha(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func TestCredentialsGoToTheRegistryTheyNameAlone(t *testing.T) {
	image := makeImage(t, 1)
	var elsewhereSaw, strangerSaw bytes.Buffer
	honest := elsewhere()
	put(t, serve(t, honest), "library/shop:1", image)
	// Blobs lie with somebody else, at another port of the same machine.
	store := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		elsewhereSaw.WriteString(r.Header.Get("Authorization"))
		honest.ServeHTTP(w, r)
	}))
	guarded := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch user, given, _ := r.BasicAuth(); {
		case user != "ann" || given != secret:
			unauthorized(w, `Basic realm="x"`)
		case isBlob(r):
			http.Redirect(w, r, "http://"+store+r.URL.Path, http.StatusTemporaryRedirect)
		default:
			honest.ServeHTTP(w, r)
		}
	}))
	stranger := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		strangerSaw.WriteString(r.Header.Get("Authorization"))
		unauthorized(w, `Basic realm="x"`)
	}))
	hosts, err := images.ParseHosts([]string{"docker.io=http://" + guarded, "docker.io=only"}, []string{store, stranger}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := open(t)
	p.options.Hosts = hosts
	for _, hostname := range []string{guarded, "http://" + guarded + "/v2/", "", "https://index.docker.io/v1/", "docker.io"} {
		if _, err := p.pull("shop:1", images.Credentials{Username: "ann", Password: secret, Hostname: hostname}); err != nil {
			t.Errorf("for %q: %v", hostname, err)
		}
	}
	if elsewhereSaw.Len() > 0 {
		t.Errorf("who keeps the blobs saw %s", &elsewhereSaw)
	}
	p = open(t)
	p.options.Hosts = hosts
	p.refuses("shop:1", "Permission Denied attempting to pull image shop:1\n"+guarded+" wants to know who asks")
	p.refuses("shop:1", "Permission Denied attempting to pull image shop:1\nThe app's registry credentials are for quay.io", images.Credentials{Username: "ann", Password: secret, Hostname: "quay.io"})
	p.refuses("shop:1", "does not take the app's registry credentials", images.Credentials{Username: "ann", Password: "wrong", Hostname: guarded})
	for _, hostname := range []string{"", guarded, "docker.io", "not a host"} {
		p.refuses(stranger+"/shop:1", "Permission Denied attempting to pull image "+stranger+"/shop:1", images.Credentials{Username: "ann", Password: secret, Hostname: hostname})
	}
	if strangerSaw.Len() > 0 {
		t.Errorf("a stranger saw %s", &strangerSaw)
	}
}

func TestATokenIsAskedForAndShown(t *testing.T) {
	image := makeImage(t, 2)
	var service *httptest.Server
	service = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, given, _ := r.BasicAuth()
		switch {
		case user == "huge":
			_, _ = w.Write(bytes.Repeat([]byte(" "), 1<<20))
		case user == "led":
			http.Redirect(w, r, service.URL+"/elsewhere", http.StatusTemporaryRedirect)
		case user == "odd":
			_, _ = io.WriteString(w, `{"token":"a\r\nX-Evil: b"}`)
		case user != "ann" || given != secret || r.URL.Query().Get("scope") != "repository:library/shop:pull" || r.URL.Query().Get("service") != "shelf":
			w.WriteHeader(http.StatusUnauthorized)
		default:
			_, _ = io.WriteString(w, `{"access_token":"leave-to-pull"}`)
		}
	}))
	t.Cleanup(service.Close)
	const sent = "leave-to-pull"
	mirror := twisted(t, image, func(w http.ResponseWriter, r *http.Request) bool {
		return r.Header.Get("Authorization") != "Bearer "+sent && unauthorized(w, `Bearer realm="`+service.URL+`/token",service="shelf",scope="repository:other:push"`)
	})
	p := open(t)
	var err error
	if p.options.Hosts, err = images.ParseHosts([]string{"docker.io=http://" + mirror, "docker.io=only"}, []string{hostOf(t, service)}, nil); err != nil {
		t.Fatal(err)
	}
	for user, says := range map[string]string{
		"": "Permission Denied", "eve": "Permission Denied", "huge": "gives no token that can be read", "odd": "gives no token that can be read", "led": "does not give a token: its service answered 307",
	} {
		p.refuses("shop:1", says, images.Credentials{Username: user, Password: secret})
	}
	if _, err := p.pull("shop:1", images.Credentials{Username: "ann", Password: secret}); err != nil {
		t.Error(err)
	}
}

func TestWhatFailsForAMomentIsTriedAgain(t *testing.T) {
	image := makeImage(t, 1)
	failures := 0
	p := open(t).mirrors(twisted(t, image, func(w http.ResponseWriter, r *http.Request) bool {
		if failures++; failures%2 == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return failures%2 == 1
	}))
	p.options = images.Hasty(p.options)
	if _, err := p.pull("shop:1"); err != nil {
		t.Error(err)
	}
}

func TestAPullHasAnEnd(t *testing.T) {
	p := open(t).mirrors(twisted(t, makeImage(t, 1), drip(func(r *http.Request) bool { return isBlob(r) })))
	p.options.Timeout = 300 * time.Millisecond
	p.refuses("shop:1", "image shop:1 was not pulled within 300ms")
}
