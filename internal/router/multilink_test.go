package router_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	rpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/router"
)

// echoService has one call of each kind, without generated code.
var echoService = &grpc.ServiceDesc{
	ServiceName: "Echo", HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Say", Handler: func(_ any, ctx context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		in := new(wrapperspb.StringValue)
		if err := dec(in); err != nil {
			return nil, err
		}
		md, _ := metadata.FromIncomingContext(ctx)
		_ = grpc.SetTrailer(ctx, metadata.Pairs("x-after", "done"))
		if in.Value == "fail" {
			return nil, rpcstatus.Error(codes.NotFound, "nobody")
		}
		return wrapperspb.String(in.Value + " " + strings.Join(md["x-forwarded-proto"], ",") + " " + strings.Join(md[":authority"], ",")), nil
	}}},
	Streams: []grpc.StreamDesc{{StreamName: "Talk", ServerStreams: true, ClientStreams: true, Handler: func(_ any, stream grpc.ServerStream) error {
		for {
			in := new(wrapperspb.StringValue)
			if err := stream.RecvMsg(in); errors.Is(err, io.EOF) {
				stream.SetTrailer(metadata.Pairs("x-after", "talked"))
				return nil
			} else if err != nil {
				return err
			}
			if err := stream.SendMsg(in); err != nil {
				return err
			}
		}
	}}},
}

// grpcBackend serves gRPC until the test ends.
func grpcBackend(t *testing.T) (server *grpc.Server, addr string) {
	t.Helper()
	server = grpc.NewServer()
	server.RegisterService(echoService, struct{}{})
	ln := listen(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(ln)
	}()
	t.Cleanup(func() { server.Stop(); <-done })
	return server, ln.Addr().String()
}

// byH2C is route for instances that speak HTTP/2 with prior knowledge.
func byH2C(app string, release int, addresses ...string) *platform.Route {
	rt := route(app, release, addresses...)
	rt.Edge.Protocol = "h2c"
	return rt
}

func (e *edge) grpc() *grpc.ClientConn {
	e.t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+e.addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("blog.test"))
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { conn.Close() })
	return conn
}

var bothWays = &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}

func TestGRPCIsServed(t *testing.T) {
	e := serve(t, router.Options{})
	_, addr := grpcBackend(t)
	e.SetRoute("blog", byH2C("blog", 1, addr))
	conn := e.grpc()
	var trailer metadata.MD
	out := new(wrapperspb.StringValue)
	if err := conn.Invoke(t.Context(), "/Echo/Say", wrapperspb.String("hello"), out, grpc.Trailer(&trailer)); err != nil {
		t.Fatal(err)
	}
	if out.Value != "hello http blog.test" || len(trailer["x-after"]) != 1 {
		t.Errorf("got %q %v", out.Value, trailer)
	}
	err := conn.Invoke(t.Context(), "/Echo/Say", wrapperspb.String("fail"), out)
	if rpcstatus.Code(err) != codes.NotFound || rpcstatus.Convert(err).Message() != "nobody" {
		t.Errorf("got %v", err)
	}
	stream, err := conn.NewStream(t.Context(), bothWays, "/Echo/Talk")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 { // each answered before the next is sent
		word := fmt.Sprint("word ", i)
		if err := stream.SendMsg(wrapperspb.String(word)); err != nil {
			t.Fatal(err)
		}
		if err := stream.RecvMsg(out); err != nil || out.Value != word {
			t.Fatalf("got %q %v", out.Value, err)
		}
	}
	_ = stream.CloseSend()
	if err := stream.RecvMsg(out); !errors.Is(err, io.EOF) || len(stream.Trailer()["x-after"]) != 1 {
		t.Errorf("got %v %v", err, stream.Trailer())
	}
}

func TestACallThatItsClientCancelsEndsAtTheInstance(t *testing.T) {
	e := serve(t, router.Options{})
	server, addr := grpcBackend(t)
	e.SetRoute("blog", byH2C("blog", 1, addr))
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := e.grpc().NewStream(ctx, bothWays, "/Echo/Talk")
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.SendMsg(wrapperspb.String("x")); err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(new(wrapperspb.StringValue)); err != nil {
		t.Fatal(err)
	}
	cancel()
	server.GracefulStop() // waits for the call to end
}

func TestNoCallFailsWhileItsInstanceLeaves(t *testing.T) {
	e := serve(t, router.Options{})
	conn := e.grpc()
	out := new(wrapperspb.StringValue)
	for release := range 5 {
		server, addr := grpcBackend(t)
		e.SetRoute("blog", byH2C("blog", release+1, addr))
		for range 20 {
			if err := conn.Invoke(t.Context(), "/Echo/Say", wrapperspb.String("x"), out); err != nil {
				t.Errorf("release %d: %v", release, err)
			}
		}
		go server.GracefulStop() // with a GOAWAY, while calls come
		for range 5 {
			err := conn.Invoke(t.Context(), "/Echo/Say", wrapperspb.String("x"), out)
			if code := rpcstatus.Code(err); err != nil && code != codes.Unavailable {
				t.Errorf("release %d: %v", release, err) // it listens no more: 503 is the answer
			}
		}
	}
}

func TestAnAppBehindHTTP2IsServedToClientsOfHTTP1(t *testing.T) {
	e := serve(t, router.Options{})
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	app := &http.Server{Protocols: protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Sum")
		fmt.Fprintf(w, "%s %s %s %d ", r.Proto, r.Host, r.URL, r.ContentLength)
		_, _ = io.Copy(w, r.Body)
		w.Header().Set("Sum", "5")
	})}
	ln := listen(t)
	go app.Serve(ln)
	t.Cleanup(func() { app.Close() })
	e.SetRoute("blog", byH2C("blog", 1, ln.Addr().String()))
	for name, c := range map[string]*http.Client{"HTTP/1.1": client(t), "HTTP/2": h2c(t)} {
		for _, body := range []string{"", "short", strings.Repeat("long", 100_000)} {
			res, err := c.Do(e.request("POST", "blog.test", "/a?b", strings.NewReader(body)))
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(res.Body)
			res.Body.Close()
			want := fmt.Sprintf("HTTP/2.0 blog.test /a?b %d %s", len(body), body)
			if err != nil || string(text) != want || res.Trailer.Get("Sum") != "5" {
				t.Errorf("%s: got %d of %d bytes, %v, %v", name, len(text), len(want), res.Trailer, err)
			}
		}
	}
}

func TestAnAppThatDoesNotSpeakHTTP2IsABadGateway(t *testing.T) {
	e := serve(t, router.Options{})
	e.SetRoute("blog", byH2C("blog", 1, backend(t, says("hello"))))
	e.get("blog.test").want(t, 502, "")
	e.SetRoute("blog", byH2C("blog", 2, nobody(t)))
	e.get("blog.test").want(t, 503, "")
}

func TestAnInstanceMayAnswerBeforeItHasReadTheRequest(t *testing.T) {
	e := serve(t, router.Options{})
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	app := &http.Server{Protocols: protocols, Handler: says("no")}
	ln := listen(t)
	go app.Serve(ln)
	t.Cleanup(func() { app.Close() })
	e.SetRoute("blog", byH2C("blog", 1, ln.Addr().String()))
	res, err := h2c(t).Do(e.request("POST", "blog.test", "/", io.LimitReader(endlessly{}, 10<<20)))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if text, err := io.ReadAll(res.Body); string(text) != "no" || err != nil {
		t.Errorf("got %q %v", text, err)
	}
}

type endlessly struct{}

func (endlessly) Read(p []byte) (int, error) { return len(p), nil }
