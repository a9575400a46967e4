"""Raw material of the story: names, subjects and sentences in several languages."""

# ruff: noqa: RUF001 - letters of other alphabets are the point

from __future__ import annotations

from typing import Final

FIRST_NAMES: Final = (
    "Anna", "Björn", "Cecilia", "David", "Elin", "Fredrik", "Gunnar", "Hélène", "Ingrid", "Jürgen", "Karin", "Lars",
    "Märta", "Nils", "Olga", "Pär", "Quentin", "Rosa", "Søren", "Tomáš", "Ulla", "Viktor", "Wiktoria", "Xenia", "Yuki",
    "Zoë", "Ahmed", "Beatriz", "Chidi", "Dilara", "Emre", "Fatima", "Giulia", "Hiroshi", "Ines", "João",
)  # fmt: skip
LAST_NAMES: Final = (
    "Almqvist", "Berg", "Carlsson", "Dahl", "Ekström", "Fischer", "Grönlund", "Hansen", "Ivanova", "Järvinen", "Kowalski",
    "Lindqvist", "Müller", "Nyström", "Öberg", "Petrov", "Quist", "Rossi", "Sjöberg", "Tanaka", "Ueda", "Virtanen",
    "Weber", "Y\u0131lmaz", "Zetterlund", "Åkesson", "Oliveira", "Nakamura", "O'Brien", "García",
)  # fmt: skip
FOREIGN_NAMES: Final = (
    ("Αλέξανδρος Παπαδόπουλος", "a.papadopoulos"), ("Мария Кузнецова", "m.kuznetsova"), ("山田 太郎", "yamada"),
    ("王小明", "wang.xm"), ("ليلى حداد", "l.haddad"), ("נועה לוי", "noa.levi"), ("Łukasz Żółkiewski", "lukasz.z"),
    ("Jiří Dvořák", "j.dvorak"), ("François Lefèvre", "f.lefevre"), ("김민준", "kim.mj"), ("Đặng Thị Hoa", "hoa.dang"),
    ("Ólafur Þórðarson", "olafur"),
)  # fmt: skip
COMPANY_NAMES: Final = (
    "Nordfrakt", "Solberga", "Kvarnen", "Lindex", "Havsbris", "Tallmo", "Grankulla", "Stenhus", "Aurora", "Vinterviken",
    "Brofast", "Malmfält", "Kustlinjen", "Ängsö", "Fjällräv", "Skogsby", "Silverdal", "Östan", "Myrtorp", "Rönnby",
)  # fmt: skip
INDUSTRIES: Final = (
    "Logistik",
    "Bygg",
    "Energi",
    "Foods",
    "Media",
    "Data",
    "Teknik",
    "Health",
    "Design",
    "Finans",
)

SUBJECTS: Final = (
    "Offert för nästa kvartal",
    "Question about invoice {n}",
    "Onboarding plan",
    "Förnyelse av avtal {n}",
    "Rückfrage zur Lieferung {n}",
    "Compte rendu de la réunion",
    "Renewal {n}",
    "Support: import fails with error {n}",
    "Uppföljning från i torsdags",
    "お見積りの件 {n}",
    "Проект {n}: вопросы",
    "请确认订单 {n}",
    "Workshop agenda",
    "[Prio] Integration {n}",
    "Price list, version {n}",
    "Pytania o fakturę {n}",
    "Žádost o nabídku č. {n}",
    "Ερώτηση για την προσφορά {n}",
    "استفسار عن الطلب {n}",
    "שאלה לגבי הצעת המחיר {n}",
    "견적 요청 {n}",
    "Réunion du n° {n} – prix en € révisés",
)
INTERNAL_SUBJECTS: Final = (
    "Veckomöte",
    "Lunch?",
    "Q-review {n}",
    "Semesterlista",
    "New routine for tickets {n}",
)
PRIVATE_SUBJECTS: Final = (
    "Tandläkartid",
    "Your flight {n}",
    "Grillning på lördag",
    "Viewing of the flat",
    "Kvitto {n}",
)
BULK_SUBJECTS: Final = (
    "Newsletter no. {n}",
    "Veckans erbjudanden",
    "Save the date: webinar {n}",
    "Product news {n}",
)
AUTO_SUBJECTS: Final = (
    "Automatic reply: ",
    "Autosvar: ",
    "Automatische Antwort: ",
    "Réponse automatique : ",
    "Automatyczna odpowiedź: ",
    "自動返信: ",
    "Автоответ: ",
)
REPLY_PREFIXES: Final = (
    "Re: ",
    "Re: ",
    "Re: ",
    "SV: ",
    "Sv: ",
    "AW: ",
    "VS: ",
    "TR: ",
    "回复: ",
    "RE[2]: ",
    "R: ",
    "Odp: ",
    "Antwort: ",
    "RÉF: ",
    "ΑΠ: ",
    "Отв: ",
    "答复: ",
    "回复：",
    "返信: ",
    "رد: ",
    "השב: ",
)
FORWARD_PREFIXES: Final = ("Fwd: ", "FW: ", "VB: ", "WG: ", "转发: ", "PD: ", "Пересл: ")

SENTENCES: Final = (
    "Thank you for the quick answer.",
    "Kan ni återkomma med ett förslag före fredag?",
    "Bitte prüfen Sie die angehängte Liste.",
    "From Monday on we use the new address.",
    "From our side everything looks good.",
    ">From what I see, the numbers differ.",
    "Vi hörs i nästa vecka.",
    "よろしくお願いいたします。",
    "The second column is wrong; see below.",
    "À bientôt.",
    "Dziękuję za szybką odpowiedź.",
    "Děkuji, ozvu se zítra.",
    "Ευχαριστώ πολύ.",
    "С уважением,",
    "谢谢，请尽快回复。",
    "شكرا جزيلا.",
    "תודה רבה.",
)
