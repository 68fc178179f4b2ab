// The smallest health server in Go, as it would be written instead of healthd's responder.
package main

import "net/http"

func main() {
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte("ok\n"))
	})
	http.ListenAndServe("127.0.0.1:18090", nil)
}
