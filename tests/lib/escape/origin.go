// An origin that writes down what it takes: origin CERTIFICATE KEY LOG ADDRESS...
// HTTP/1.1 on port 80, HTTP/1.1 and HTTP/2 on port 443.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
)

var (
	log   *os.File
	mutex sync.Mutex
)

func take(writer http.ResponseWriter, request *http.Request) {
	// How HTTP/2 begins, which says nothing of a request.
	if request.Method == "PRI" {
		writer.WriteHeader(http.StatusHTTPVersionNotSupported)
		return
	}
	sum := sha256.New()
	length, err := io.Copy(sum, request.Body)
	headers := [][2]string{{"Host", request.Host}}
	for name, values := range request.Header {
		for _, value := range values {
			headers = append(headers, [2]string{name, value})
		}
	}
	line, _ := json.Marshal(map[string]any{
		"origin": "go", "client": request.RemoteAddr, "method": request.Method,
		"target": request.RequestURI, "version": request.Proto, "headers": headers,
		"length": length, "sha256": hex.EncodeToString(sum.Sum(nil)), "complete": err == nil,
	})
	mutex.Lock()
	log.Write(append(line, '\n'))
	mutex.Unlock()
	io.WriteString(writer, "go "+request.RequestURI+"\n")
}

func main() {
	certificate, key := os.Args[1], os.Args[2]
	var err error
	log, err = os.OpenFile(os.Args[3], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0644)
	if err != nil {
		panic(err)
	}
	// Not the default mux, which cleans paths by redirection.
	handler := http.HandlerFunc(take)
	for _, address := range os.Args[4:] {
		plain, secure := net.JoinHostPort(address, "80"), net.JoinHostPort(address, "443")
		go func() { panic(http.ListenAndServe(plain, handler)) }()
		go func() { panic(http.ListenAndServeTLS(secure, certificate, key, handler)) }()
	}
	select {}
}
