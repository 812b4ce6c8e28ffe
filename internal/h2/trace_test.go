package h2_test

import (
	"context"
	"net/http/httptrace"
	"net/textproto"
)

// traced tells f of interim heads.
func traced(ctx context.Context, f func(code int, link string)) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			f(code, header.Get("Link"))
			return nil
		},
	})
}
