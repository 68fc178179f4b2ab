import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

/** Prints what a URL answers, by Java's own clients: Get connection|client URL. */
public class Get {
    public static void main(String[] arguments) throws Exception {
        URI uri = URI.create(arguments[1]);
        if (arguments[0].equals("connection")) {
            try (InputStream body = uri.toURL().openStream()) {
                System.out.write(body.readAllBytes());
            }
        } else {
            HttpRequest request = HttpRequest.newBuilder(uri).build();
            System.out.print(HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body());
        }
        System.out.flush();
    }
}
